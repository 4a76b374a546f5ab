"""What each script of upstream says of the two flags."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.upstream.pipelines.cases import WITH_GEMMA_3
from verify.pipelines import Pipelines
from verify.synthetic.files import FileSet

_FOLDER = Path(os.environ["LTX2_PATCHED_TREE"], "packages/ltx-pipelines/src/ltx_pipelines")
_EVER = (
    "a2vid_two_stage",
    "distilled",
    "ic_lora",
    "keyframe_interpolation",
    "retake",
    "ti2vid_one_stage",
    "ti2vid_two_stages",
    "ti2vid_two_stages_hq",
    "ti2vid_two_stages_res2s",
)
SCRIPTS = [script for script in _EVER if (_FOLDER / f"{script}.py").is_file()]


@pytest.fixture(scope="session")
def checkpoint(fileset: Callable[[str], FileSet]) -> list[str]:
    """What the scripts want to read before they parse, even for --help."""
    path = str(fileset(WITH_GEMMA_3).checkpoint)
    return ["--checkpoint-path", path, "--distilled-checkpoint-path", path]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_names_both_flags(script: str, patched: Pipelines, checkpoint: list[str]) -> None:
    """With what each costs."""
    shown = patched.run(f"ltx_pipelines.{script}", [*checkpoint, "--help"])
    assert shown.code == 0, shown.err
    for flag in ("--gemma-4bit", "--gemma-8bit"):
        at = shown.out.index(f"\n  {flag}")
        assert "GiB" in shown.out[at : at + 600], f"{flag} does not say what it costs"


@pytest.mark.parametrize("script", SCRIPTS)
def test_both_flags_are_refused(script: str, patched: Pipelines, checkpoint: list[str]) -> None:
    """As a usage error, in a sentence, before any file is read."""
    refused = patched.run(f"ltx_pipelines.{script}", [*checkpoint, "--gemma-4bit", "--gemma-8bit"])
    assert refused.code == 2
    assert "--gemma-8bit: not allowed with argument --gemma-4bit" in refused.err
    assert "Traceback" not in refused.err
