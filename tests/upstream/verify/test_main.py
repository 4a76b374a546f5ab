"""`make verify`: what it says that it proved, and what it says where it can't."""

import os
import shutil
from pathlib import Path

import pytest

from verify.__main__ import main
from verify.clips.manifest import open_recording

PATCHED = os.environ["LTX2_PATCHED_TREE"]


@pytest.mark.slow
def test_a_patched_tree_is_proved_with_tiny_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flags off against a copy without the series, and both flags, with a page of it all."""
    out, page = tmp_path / "recordings", tmp_path / "page.html"
    assert main(["--tree", PATCHED, "--out", str(out), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "ok  bf16 against unpatched bf16: every byte of 5 clips is equal" in said
    assert "ok  8-bit against unpatched bf16: within bounds" in said
    assert "ok  4-bit against unpatched bf16: within bounds" in said
    assert said.splitlines()[-1].startswith("proved with tiny random weights")
    for name in ("unpatched", "none", "8bit", "4bit"):
        assert open_recording(out / name).manifest.left_out == {}
    assert "<video" in page.read_text("utf-8")


def test_what_cannot_be_proved_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without upstream, and an occupied place for the recordings."""
    assert main(["--tree", str(tmp_path)]) == 5
    assert "not " + str(tmp_path) in capsys.readouterr().err
    (tmp_path / "mine.txt").touch()
    assert main(["--tree", PATCHED, "--out", str(tmp_path)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tree_that_was_edited_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What upstream had there can't be told from what the user did."""
    tree = tmp_path / "tree"
    shutil.copytree(PATCHED, tree, symlinks=True)
    with (tree / "packages/ltx-pipelines/src/ltx_pipelines/distilled.py").open("a") as file:
        file.write("# mine\n")
    assert main(["--tree", str(tree)]) == 5
    assert "is not as `ltx2-patcher apply` leaves it" in capsys.readouterr().err
