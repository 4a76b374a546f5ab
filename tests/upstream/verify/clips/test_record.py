"""The real scripts, recorded: what is kept is what they computed, and it is kept whole."""

import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
from safetensors.torch import load_file

from ltx2_patcher.values.errors import InvalidError, UsageError
from tests.upstream.conftest import BASE
from verify.clips.cases import CASES, TINY, ReferenceCase
from verify.clips.compare import compare
from verify.clips.judge import judge, read_bounds
from verify.clips.manifest import HIDDEN, LATENTS, Recording, open_recording
from verify.clips.models import Models
from verify.clips.record import Recipe, record
from verify.clips.recorder import kept_layers
from verify.clips.tree import copy_unpatched, identify
from verify.upstream.command_line import LORA, Gemma
from verify.upstream.process import Pipelines

DISTILLED, _, TWO_STAGE, _, KEYFRAMES = CASES


class Recordings(Protocol):
    """Records some cases, once a session."""

    def __call__(self, which: str, gemma: Gemma, *cases: ReferenceCase) -> Recording: ...


@pytest.fixture(scope="session")
def recorded(
    models: Models,
    patched: Pipelines,
    upstream: Pipelines,
    tmp_path_factory: pytest.TempPathFactory,
) -> Recordings:
    """Of the patched scripts or of upstream's."""

    @cache
    def made(which: str, gemma: Gemma, *cases: ReferenceCase) -> Recording:
        out = tmp_path_factory.mktemp("recordings") / "recording"
        pipelines = {"patched": patched, "upstream": upstream}[which]
        recipe = Recipe(models, gemma, TINY, cases)
        return record(recipe, pipelines, out, lambda _line: None, timeout_s=300)

    return made


@pytest.mark.core
def test_what_a_script_computes_is_kept(recorded: Recordings) -> None:
    """On every base: each finds another place for it."""
    made = recorded("patched", Gemma.FLAG_4BIT, DISTILLED)
    assert open_recording(made.folder) == made
    hidden = load_file(made.file(DISTILLED.name, HIDDEN))
    assert sorted(hidden) == ["text0.layer0", "text0.layer1", "text0.layer2"]
    tokens = {tensor.shape[0] for tensor in hidden.values()}
    assert len(tokens) == 1
    assert 10 < tokens.pop() < 1024  # the real ones: upstream pads to 1024
    assert all(tensor.isfinite().all() and tensor.shape[1] == 64 for tensor in hidden.values())
    latents = load_file(made.file(DISTILLED.name, LATENTS))
    assert latents["video"].shape[:2] == (1, 128)
    assert latents["video"].ndim == 5
    assert latents["audio"].shape[:2] == (1, 8)
    assert made.manifest.upstream.standing == "patched"
    assert made.manifest.upstream.base == BASE
    assert made.manifest.weights == "tiny"


@pytest.mark.slow  # pipelines/test_clips.py compares the clips in the short run too
def test_flags_off_is_unpatched_upstream(recorded: Recordings) -> None:
    """Every byte, and every number on the way."""
    reference = recorded("upstream", Gemma.PLAIN, DISTILLED)
    other = recorded("patched", Gemma.PLAIN, DISTILLED)
    assert (reference.manifest.label, other.manifest.label) == ("unpatched bf16", "bf16")
    verdict = judge(compare(reference, other), read_bounds())
    assert verdict.passed, verdict.text


def test_four_bits_stay_within_bounds_and_differ_from_the_text_on(recorded: Recordings) -> None:
    compared = compare(
        recorded("patched", Gemma.PLAIN, DISTILLED), recorded("patched", Gemma.FLAG_4BIT, DISTILLED)
    )
    verdict = judge(compared, read_bounds())
    assert verdict.passed, verdict.text
    # The embedding is not quantized, so layer 0 is equal.
    assert verdict.differences == {DISTILLED.name: "text encoding (text 0, layer 1)"}


@pytest.mark.slow
@pytest.mark.parametrize("gemma", [Gemma.FLAG_4BIT, Gemma.FLAG_8BIT])
def test_every_case_stays_within_bounds(gemma: Gemma, recorded: Recordings) -> None:
    reference = recorded("upstream", Gemma.PLAIN, *CASES)
    plain = judge(compare(reference, recorded("patched", Gemma.PLAIN, *CASES)), read_bounds())
    assert plain.passed, plain.text
    made = recorded("patched", gemma, *CASES)
    assert [case.images for case in made.manifest.cases] == [
        {one.image: one.frame(TINY) for one in case.images} for case in CASES
    ]
    verdict = judge(compare(reference, made), read_bounds())
    assert verdict.passed, verdict.text
    # A guided script encodes the negative prompt too.
    assert "text1.layer2" in load_file(made.file(KEYFRAMES.name, HIDDEN))


def test_the_kept_layers_of_a_deep_model_are_few() -> None:
    assert kept_layers(49) == [12, 24, 36, 48]
    assert kept_layers(3) == [0, 1, 2]


def test_a_flag_is_refused_without_the_series(
    models: Models, upstream: Pipelines, tmp_path: Path
) -> None:
    recipe = Recipe(models, Gemma.FLAG_4BIT, TINY, (DISTILLED,))
    with pytest.raises(UsageError, match="is not patched"):
        record(recipe, upstream, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_refused(models: Models, patched: Pipelines, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    recipe = Recipe(models, Gemma.PLAIN, TINY, (DISTILLED,))
    with pytest.raises(UsageError, match="exists and is not empty"):
        record(recipe, patched, tmp_path, print)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_script_that_fails_leaves_nothing(
    models: Models, patched: Pipelines, tmp_path: Path
) -> None:
    """And is named, with what it said last."""
    recipe = Recipe(models, Gemma.PLAIN, TINY, (DISTILLED,), extra=("--no-such-flag",))
    with pytest.raises(
        InvalidError, match=r"distilled-t2v: distilled ended with 2: .*no-such-flag"
    ):
        record(recipe, patched, tmp_path / "out", print)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_record_is_told(models: Models, patched: Pipelines, tmp_path: Path) -> None:
    distilled_only = Models({k: v for k, v in models.paths.items() if k != LORA}, random=True)
    recipe = Recipe(distilled_only, Gemma.PLAIN, TINY, (TWO_STAGE,))
    with pytest.raises(UsageError, match="no clip can be recorded without --distilled-lora"):
        record(recipe, patched, tmp_path / "out", print)


@pytest.mark.slow
def test_a_recording_that_is_stopped_leaves_nothing(
    models: Models, patched_tree: Path, tmp_path: Path
) -> None:
    """Neither a folder nor a running script."""
    out = tmp_path / "out"
    root = next(iter(models.paths.values())).parent
    command = [sys.executable, "-m", "verify.clips", "record", "--tree", str(patched_tree)]
    command += ["--files", str(root), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "distilled-t2v" in process.stdout.readline()  # the first clip is there
        children = _children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert children
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()


def test_an_unpatched_copy_is_upstream(
    patched_tree: Path, upstream_tree: Path, tmp_path: Path
) -> None:
    """File by file; and a tree that is no patched one is refused."""
    copy_unpatched(patched_tree, tmp_path / "copy")

    def sources(tree: Path) -> dict[Path, bytes]:
        return {
            path.relative_to(tree): path.read_bytes()
            for name in ("ltx-core", "ltx-pipelines")
            for path in (tree / "packages" / name / "src").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }

    assert sources(tmp_path / "copy") == sources(upstream_tree)
    assert identify(tmp_path / "copy").standing == "upstream"
    assert identify(patched_tree).files != identify(upstream_tree).files
    with pytest.raises(InvalidError, match="is not as"):
        copy_unpatched(upstream_tree, tmp_path / "other")
    with pytest.raises(InvalidError, match="holds no upstream"):
        identify(tmp_path)
