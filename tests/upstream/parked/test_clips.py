"""With weights parked a script makes the clip that it makes without, byte for byte."""

from pathlib import Path

import pytest

from tests.upstream.cases import SCRIPTS, Case, Mode, command_line
from tests.upstream.conftest import BASE, LONG, FileSets
from tests.upstream.pipelines.conftest import Clips, GemmaRoots
from verify.synthetic.files import named_models
from verify.upstream.command_line import FP8_CAST, LORA, Gemma
from verify.upstream.process import Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
NOTHING, ALL = "0.000001", "auto"
CASES = [
    *(
        pytest.param(Case(script, Mode.I2V, Gemma.PLAIN, VARIANT), marks=pytest.mark.core)
        for script in SCRIPTS
    ),
    Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, VARIANT),
    *(
        pytest.param(Case("distilled", Mode.T2V, gemma, VARIANT), marks=LONG)
        for gemma in (Gemma.FLAG_8BIT, Gemma.PREQUANTIZED_4BIT, Gemma.PREQUANTIZED_8BIT)
    ),
]


def clip(
    pipelines: Pipelines,
    case: Case,
    files: FileSets,
    root: Path,
    image: Path,
    out: Path,
    *more: str,
) -> bytes:
    picture = image if case.mode is Mode.I2V else None
    argv = command_line(case, files(case.variant), root, picture, out, tree=pipelines.tree)
    module, argv = case.module, [*argv, *more]
    if NOTHING in more:
        module, argv = "tests.upstream.parked.one_seat", [module, *argv]
    done = pipelines.run(module, argv, timeout_s=300)
    assert done.code == 0, done.err
    assert "built anew" not in done.err
    return out.read_bytes()


@pytest.mark.parametrize("budget", [NOTHING, pytest.param(ALL, marks=LONG)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_clip_is_the_same(
    case: Case,
    budget: str,
    parked: Pipelines,
    patched_clip: Clips,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    tmp_path: Path,
) -> None:
    """Of the first request of a kind in the process, which loads, and of the second."""
    root = gemma_root(case.variant, case.gemma)
    wanted = patched_clip(case).read_bytes()
    for number in range(2):
        out = tmp_path / f"{number}.mp4"
        given = (case, fileset, root, image, out, "--vram-budget", budget)
        assert clip(parked, *given) == wanted


@LONG
@pytest.mark.parametrize("gemma", [Gemma.PLAIN, Gemma.FLAG_4BIT, Gemma.FLAG_8BIT])
def test_weights_that_host_memory_has_no_room_for_are_read_where_they_lie(
    gemma: Gemma,
    parked: Pipelines,
    patched_clip: Clips,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    case = Case("distilled", Mode.T2V, gemma, VARIANT)
    root, wanted = fileset(VARIANT).text_encoder, patched_clip(case).read_bytes()
    for host in (NOTHING, "0.001"):
        with Pipelines(parked.tree) as fresh:
            given = (case, fileset, root, image, tmp_path / "clip.mp4")
            more = ("--vram-budget", NOTHING, "--host-budget", host)
            assert clip(fresh, *given, *more) == wanted
            assert clip(fresh, *given, *more) == wanted


@pytest.mark.parametrize("cast", [(), FP8_CAST], ids=["bf16", "fp8"])
def test_loras_are_fused_as_without(
    cast: tuple[str, ...],
    parked: Pipelines,
    patched: Pipelines,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    files = fileset(VARIANT)
    lora = named_models(files)[LORA]
    made = []
    for strength in ("0.7", "0.3"):
        more = (*cast, "--lora", str(lora), strength)
        given = (case, fileset, files.text_encoder, image)
        plain = clip(patched, *given, tmp_path / "plain.mp4", *more)
        assert clip(parked, *given, tmp_path / "parked.mp4", *more, "--vram-budget", ALL) == plain
        made.append(plain)
    assert made[0] != made[1]


def test_an_enhanced_prompt_is_the_same(
    parked: Pipelines, patched: Pipelines, fileset: FileSets, image: Path, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.I2V, Gemma.PLAIN, VARIANT)
    given = (case, fileset, fileset(VARIANT).text_encoder, image)
    plain = clip(patched, *given, tmp_path / "plain.mp4", "--enhance-prompt")
    more = ("--enhance-prompt", "--vram-budget", NOTHING)
    assert clip(parked, *given, tmp_path / "parked.mp4", *more) == plain


def test_without_the_flag_the_store_goes(
    patched_tree: Path, patched_clip: Clips, fileset: FileSets, image: Path, tmp_path: Path
) -> None:
    """A process that parked weights for one request makes the next without them."""
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    root = fileset(VARIANT).text_encoder
    with Pipelines(patched_tree) as pipelines:
        for more in (("--vram-budget", ALL), ()):
            out = tmp_path / "clip.mp4"
            wanted = patched_clip(case).read_bytes()
            assert clip(pipelines, case, fileset, root, image, out, *more) == wanted
