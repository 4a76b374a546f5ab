"""Copies of weights in a folder: told by their names and locks alone."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.copies import clear, copies_in, shared_bytes
from ltx2_patcher.values.errors import OutsideError

OLD, NEW, PART = (f"LTXModel-{digit * 32}" for digit in "123")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Two whole copies and a part, of which the newer copy and the part are in use."""
    lay(tmp_path)
    with (
        (tmp_path / f"{NEW}.weights").open("rb") as new,
        (tmp_path / f"{PART}.part").open() as part,
    ):
        fcntl.flock(new, fcntl.LOCK_SH)
        fcntl.flock(part, fcntl.LOCK_EX)
        yield tmp_path


def lay(folder: Path) -> None:
    for name in (".lock", "other.weights", "notes.txt"):
        (folder / name).touch()
    for age, name in enumerate((f"{OLD}.weights", f"{NEW}.weights", f"{PART}.part")):
        (folder / name).write_bytes(bytes(8192))
        os.utime(folder / name, (age, age))


def test_each_is_told(folder: Path) -> None:
    told = [(copy.path.stem, copy.used_s, copy.whole, copy.held) for copy in copies_in(folder)]
    assert told == [(PART, 2, False, True), (NEW, 1, True, True), (OLD, 0, True, False)]
    assert {(copy.model, copy.bytes) for copy in copies_in(folder)} == {("LTXModel", 8192)}


def test_what_nobody_holds_is_cleared(folder: Path) -> None:
    before = set(folder.iterdir())
    assert [copy.path.stem for copy in clear(folder)] == [OLD]
    assert before - set(folder.iterdir()) == {folder / f"{OLD}.weights"}
    assert clear(folder) == ()


def test_a_folder_that_no_script_has_used_holds_none(tmp_path: Path) -> None:
    (tmp_path / f"{OLD}.weights").touch()
    assert copies_in(tmp_path) == () == copies_in(tmp_path / "none")
    assert clear(tmp_path) == ()
    assert (tmp_path / f"{OLD}.weights").exists()


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError, match="can't be used: Not a directory"):
        copies_in(tmp_path / "file")


def test_copies_in_memory_are_counted_and_those_on_a_disk_are_not() -> None:
    for place, size in (("/dev/shm", 3 * 8192), ("/var/tmp", 0)):
        with tempfile.TemporaryDirectory(dir=place) as name:
            assert shared_bytes(Path(name)) == 0
            lay(Path(name))
            assert shared_bytes(Path(name)) == size
