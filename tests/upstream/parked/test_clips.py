"""With weights parked a script makes the clip that it makes without, byte for byte."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.upstream.cases import SCRIPTS, Case, Mode, command_line
from tests.upstream.conftest import BASE, LONG, FileSets
from tests.upstream.forks import forked
from tests.upstream.pipelines.conftest import Clips, GemmaRoots
from verify.synthetic.files import named_models
from verify.upstream.command_line import FP8_CAST, LORA, Gemma
from verify.upstream.process import Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
NOTHING, ALL = "0.000001", "auto"
ONE_SEAT = "tests.upstream.parked.one_seat"
OTHER_PROMPT = "A kingfisher dives into a brook."
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
    if "--vram-budget" in more:
        module, argv = ONE_SEAT, [module, *argv]
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
    unpacked_clip: Clips,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    tmp_path: Path,
) -> None:
    """Of the first request of a kind in the process, which loads, of the second, which encodes no
    prompt, and of one that encodes another with the same Gemma.
    """
    root = gemma_root(case.variant, case.gemma)
    others = [replace(case, prompt=OTHER_PROMPT)] if case.script == "distilled" else []
    for number, each in enumerate((case, case, *others)):
        out = tmp_path / f"{number}.mp4"
        given = (each, fileset, root, image, out, "--vram-budget", budget)
        assert clip(parked, *given) == unpacked_clip(each).read_bytes()


@LONG
@pytest.mark.parametrize("gemma", [Gemma.PLAIN, Gemma.FLAG_4BIT, Gemma.FLAG_8BIT])
def test_weights_that_host_memory_has_no_room_for_are_read_where_they_lie(
    gemma: Gemma,
    parked: Pipelines,
    unpacked_clip: Clips,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    case, root = Case("distilled", Mode.T2V, gemma, VARIANT), fileset(VARIANT).text_encoder
    for host in (NOTHING, "0.001"):
        with forked(parked.tree) as fresh:
            for each in (case, replace(case, prompt=OTHER_PROMPT)):
                given = (each, fileset, root, image, tmp_path / "clip.mp4")
                more = ("--vram-budget", NOTHING, "--host-budget", host)
                assert clip(fresh, *given, *more) == unpacked_clip(each).read_bytes()


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


@LONG
def test_a_retake_is_the_same(
    parked: Pipelines,
    patched: Pipelines,
    patched_clip: Clips,
    fileset: FileSets,
    tmp_path: Path,
) -> None:
    """The script of 1.0.0 makes a parser of its own."""
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    files = fileset(VARIANT)
    of_distilled = "" if BASE == "1.0.0" else "distilled-"
    argv = [f"--{of_distilled}checkpoint-path", str(files.checkpoint)]
    argv += ["--gemma-root", str(files.text_encoder), "--prompt", OTHER_PROMPT]
    argv += ["--video-path", str(patched_clip(case)), "--start-time", "0", "--end-time", "0.2"]
    out, made = tmp_path / "clip.mp4", []
    script = "ltx_pipelines.retake"
    budget = ("--vram-budget", NOTHING)
    for pipelines, words in (
        (patched, [script, *argv]),
        (parked, [ONE_SEAT, script, *argv, *budget]),
        (parked, [ONE_SEAT, script, *argv, *budget]),
    ):
        done = pipelines.run(words[0], [*words[1:], "--output-path", str(out)], timeout_s=300)
        assert done.code == 0, done.err
        made.append(out.read_bytes())
        out.unlink()
    assert made[0] == made[1] == made[2]


# The script writes 512 tokens a prompt. What holds for a picture holds for none.
@pytest.mark.parametrize("mode", [pytest.param(Mode.T2V, marks=LONG), Mode.I2V])
def test_an_enhanced_prompt_is_the_same(
    mode: Mode,
    parked: Pipelines,
    patched: Pipelines,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    """Of each seed and picture, also where the process has made it of others, and of the same."""
    first = Case("ti2vid_two_stages", mode, Gemma.PLAIN, VARIANT)
    root, picture = fileset(VARIANT).text_encoder, tmp_path / "picture.png"
    wanted = set()
    for case, rotated, times in (
        (first, False, 2),
        (replace(first, seed=8), False, 1),
        *([(first, True, 1)] if mode is Mode.I2V else []),
    ):
        with Image.open(image) as opened:
            (opened.rotate(180) if rotated else opened).save(picture)
        given = (case, fileset, root, picture)
        plain = clip(patched, *given, tmp_path / "plain.mp4", "--enhance-prompt")
        more = ("--enhance-prompt", "--vram-budget", NOTHING)
        for _ in range(times):
            assert clip(parked, *given, tmp_path / "parked.mp4", *more) == plain
        assert plain not in wanted
        wanted.add(plain)


def test_without_the_flag_the_store_goes(
    patched_tree: Path, patched_clip: Clips, fileset: FileSets, image: Path, tmp_path: Path
) -> None:
    """A process that parked weights for one request makes the next without them."""
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    root = fileset(VARIANT).text_encoder
    with forked(patched_tree) as pipelines:
        for more in (("--vram-budget", ALL), ()):
            out = tmp_path / "clip.mp4"
            wanted = patched_clip(case).read_bytes()
            assert clip(pipelines, case, fileset, root, image, out, *more) == wanted
