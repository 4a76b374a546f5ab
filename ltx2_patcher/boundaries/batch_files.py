"""The files of a batch: its lines, and beside them its journal and its log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.batch import Entry, parse_journal, render_entry
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.errors import UsageError

STDIN = Path("-")
_MOST_BYTES = 64 << 20
_NAME = "batch.jsonl"  # of what has no file


@dataclass(frozen=True, slots=True)
class Records:
    """Where a batch keeps what it has done."""

    journal: Path  # a line for each finished clip
    log: Path  # what the scripts write to stderr
    lock: Path


def read_batch(path: Path) -> bytes:
    """The bytes of a batch: of a file, a pipe, or standard input.

    Raises: UsageError where there is none, or far more than one; OutsideError where it can't be
    read.
    """
    if path == STDIN:
        return _bounded(sys.stdin.buffer, path)
    with disk.translated(path, reading=True):
        if not path.exists():
            raise UsageError(f"{path} does not exist", remedy="check the path")
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder", remedy="give a file with one JSON object a line"
            )
        with path.open("rb") as file:
            return _bounded(file, path)


def records_of(path: Path, clip: Path) -> Records:
    """Beside the batch's own file; else, or where nothing can be written there, beside its clip."""
    place = path.resolve()  # /dev/stdin may be a file
    if path == STDIN or not place.is_file():
        place = clip.parent / _NAME
    elif not os.access(place.parent, os.W_OK | os.X_OK):
        place = clip.parent / place.name
    return Records(*(place.with_name(f"{place.name}.{kind}") for kind in ("done", "log", "lock")))


def finished(journal: Path) -> dict[str, Entry]:
    """Place -> the clip that was finished there last, where its file is still as it was."""
    entries = parse_journal(disk.read(journal) or b"")
    return {place: entry for place, entry in entries.items() if size_of(Path(place)) == entry.bytes}


def size_of(clip: Path) -> int | None:
    """The bytes of a clip's file; None where there is none."""
    try:
        return clip.stat().st_size if clip.is_file() else None
    except OSError:
        return None


def note(journal: Path, entry: Entry) -> None:
    """Put a finished clip on record; on disk, come a power cut, when this returns."""
    with disk.translated(journal), journal.open("ab+") as file:
        torn = file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
        file.write((b"\n" if torn else b"") + render_entry(entry).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def kept_log(records: Records) -> Iterator[IO[bytes]]:
    """The log, begun anew, for as long as no other run has this batch.

    Raises: BusyError where one has; OutsideError where it can't be written.
    """
    with disk.locked(records.lock, wait_s=0):
        with disk.translated(records.log):
            log = records.log.open("wb")
        with log:
            yield log


def said_since(log: Path, offset: int) -> str:
    """What was written to the log from there on; its last part where that is much."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(offset, end - (1 << 16)))
        return file.read().decode("utf-8", "replace")


def _bounded(file: IO[bytes], path: Path) -> bytes:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UsageError(
            f"{path} holds more than {in_words(_MOST_BYTES)}",
            remedy="give a file with one JSON object a line, or spread them over several",
        )
    return data
