"""What `cache` lists and clears: of the home, or of a folder that scripts share."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from tests.conftest import Run

OLD, NEW, PART = (f"LTXModel-{digit * 32}" for digit in "123")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the home, with two whole copies and a part that a killed process left."""
    folder = tmp_path / "cache/ltx2-patcher/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    for age, name in enumerate((f"{OLD}.weights", f"{NEW}.weights", f"{PART}.part")):
        (folder / name).write_bytes(bytes(3 << 20))
        os.utime(folder / name, (86400 * age, 86400 * age))
    return folder


def test_copies_are_listed_and_cleared(patcher: Run, folder: Path) -> None:
    with (folder / f"{NEW}.weights").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        first, part, new, old = patcher("cache").stdout.splitlines()
        assert first == f"{folder}: 3 models, 9.0 MiB"
        for line, state in ((part, "left half made"), (new, "in use"), (old, "not in use")):
            assert line.split(maxsplit=5)[:3] == ["LTXModel", "3.0", "MiB"]
            assert line.split(maxsplit=5)[5] == state
        cleared, left, one = patcher("cache", "--clear", folder).stdout.splitlines()
        assert cleared == "cleared 2 models, 6.0 MiB"
        assert left == f"{folder}: 1 model, 3.0 MiB"
        assert one == new
    assert [path.name for path in folder.glob("LTX*")] == [f"{NEW}.weights"]
    cleared, left = patcher("cache", "--clear").stdout.splitlines()
    assert (cleared, left) == ("cleared 1 model, 3.0 MiB", f"{folder}: no weights")
    assert patcher("cache", "--clear").stdout.startswith("cleared no weights\n")


def test_programs_read_them_as_json(patcher: Run, folder: Path) -> None:
    told = json.loads(patcher("cache", "--json").stdout)
    assert (told["folder"], told["cleared"]) == (str(folder), [])
    assert told["copies"][1] == {
        "path": str(folder / f"{NEW}.weights"),
        "model": "LTXModel",
        "bytes": 3 << 20,
        "used_s": 86400.0,
        "whole": True,
        "held": False,
    }


def test_a_folder_without_copies_is_left_as_it_is(patcher: Run, tmp_path: Path) -> None:
    (tmp_path / "other.weights").touch()
    for place in (tmp_path, tmp_path / "none"):
        done = patcher("cache", "--clear", place)
        assert (done.returncode, done.stdout) == (
            0,
            f"cleared no weights\n{place}: no weights\n",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["other.weights"]
    done = patcher("cache", tmp_path / "other.weights")
    assert (done.returncode, "to do: name what a script" in done.stderr) == (2, True)
