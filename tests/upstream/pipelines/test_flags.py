"""What each script of upstream says of our flags."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.cases import VARIANTS
from verify.upstream.process import Pipelines

_FOLDER = Path(os.environ["LTX2_UPSTREAM_TREE"]) / "packages/ltx-pipelines/src/ltx_pipelines"
WITHOUT_TEXT_ENCODER = {"hdr_ic_lora"}
PARKS = find_spec("ltx_core.parked") is not None
EVERY = sorted(
    path.stem for path in _FOLDER.glob("*.py") if "\ndef main(" in path.read_text("utf-8")
)
SCRIPTS = [script for script in EVERY if script not in WITHOUT_TEXT_ENCODER]
"""What upstream can run on one card, before ours is beside it. Scripts for several cards have no
main(); overlay/prompt_encoder/test_several_cards.py runs them."""


@pytest.fixture(scope="session")
def checkpoint(fileset: FileSets) -> list[str]:
    """What the scripts want to read before they parse."""
    path = str(fileset(VARIANTS[-1]).checkpoint)
    return ["--checkpoint-path", path, "--distilled-checkpoint-path", path]


@pytest.mark.parametrize("script", EVERY)
def test_help_alone_names_both_flags(script: str, patched: Pipelines) -> None:
    """With what each costs, and with no checkpoint to read defaults from."""
    shown = patched.run(f"ltx_pipelines.{script}", ["--help"])
    assert (shown.code, shown.err.count("Traceback")) == (0, 0), shown.err
    for flag in ("--gemma-4bit", "--gemma-8bit") if script in SCRIPTS else ():
        at = shown.out.index(f"\n  {flag}")
        assert "GiB" in shown.out[at : at + 600], f"{flag} does not say what it costs"
    assert ("\n  --vram-budget" in shown.out) is (PARKS and script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_both_flags_are_refused(script: str, patched: Pipelines, checkpoint: list[str]) -> None:
    """As a usage error, in a sentence, before any file is read."""
    refused = patched.run(f"ltx_pipelines.{script}", [*checkpoint, "--gemma-4bit", "--gemma-8bit"])
    assert refused.code == 2
    assert "--gemma-8bit: not allowed with argument --gemma-4bit" in refused.err
    assert "Traceback" not in refused.err
