"""Copies of weights that patched scripts keep in a folder (the overlay's ltx_core.parked.copies).

Its names and locks are all that is known of them here: the tool imports no torch.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk

_NAME = re.compile(r"(?P<model>\w+)-[0-9a-f]{32}\.(?P<kind>weights|part)")
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """The weights of one model, as they are parked."""

    path: Path
    model: str  # its class: "LTXModel"
    bytes: int
    used_s: float  # when it was made or used last, in seconds since 1970
    whole: bool  # else it is being made, or its maker was killed
    held: bool  # a process makes or uses it


def copies_in(folder: Path) -> tuple[StoredCopy, ...]:
    """The copies in a folder, what was used last before the others. Raises: OutsideError."""
    with disk.translated(folder, reading=True), _locked(folder):
        found = [copy for path in _files(folder) if (copy := _look(path)) is not None]
    return tuple(sorted(found, key=lambda copy: -copy.used_s))


def clear(folder: Path) -> tuple[StoredCopy, ...]:
    """Remove the copies that no process holds; those. Raises: OutsideError."""
    with disk.translated(folder), _locked(folder):
        found = [copy for path in _files(folder) if (copy := _look(path)) is not None]
        unheld = tuple(copy for copy in found if not copy.held)
        for copy in unheld:
            copy.path.unlink()
    return unheld


def shared_bytes(folder: Path) -> int:
    """What the copies in a folder take of host memory: nothing on a disk. Raises: OutsideError."""
    copies = copies_in(folder)
    return sum(copy.bytes for copy in copies) if copies and _lies_in_memory(folder) else 0


def _files(folder: Path) -> list[Path]:
    """Nothing where no script has ever kept weights, whatever else lies there."""
    if not (folder / _LOCK).exists():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _look(path: Path) -> StoredCopy | None:
    """None where it went meanwhile."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        stat = os.fstat(file)
        held = not _locks(file)
    finally:
        os.close(file)
    whole = match["kind"] == "weights"
    return StoredCopy(path, match["model"], stat.st_size, stat.st_mtime, whole, held)


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody finds, finishes or removes a copy there meanwhile."""
    try:
        file = os.open(folder / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lies_in_memory(folder: Path) -> bool:
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    return any(line.split()[2] == number and " - tmpfs " in line for line in mounts)
