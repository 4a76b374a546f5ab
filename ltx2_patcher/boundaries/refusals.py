"""What an operating system refuses to write or read, as errors of ours.

One table for its numbers and for the words in which programs hand them on. Those are English
everywhere: git is started with LC_ALL=C, and Python never translates them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from ltx2_patcher.rules.shown import cut
from ltx2_patcher.values.errors import OutsideError


class _Kind(NamedTuple):
    numbers: tuple[int, ...]
    message: str
    remedy: str
    words: tuple[str, ...] = ()  # of programs that have their own


_AGAIN = "run the same command again: it goes on from there"
_KINDS = (
    _Kind(
        (errno.ENOSPC,),
        "no space left to write {}",
        f"free some space there and {_AGAIN}",
        ("Out of diskspace",),  # git 2.39's fast-import
    ),
    _Kind(
        (errno.EDQUOT,),
        "the disk quota leaves no space to write {}",
        f"free some space of yours there and {_AGAIN}",
    ),
    _Kind(
        (errno.EFBIG,),
        "no space left to write {}: no file may become as large as it has to be",
        f"raise that limit (`ulimit -f unlimited`), or take a disk for larger files, and {_AGAIN}",
        ("died of signal 25",),  # SIGXFSZ: git, of its own children
    ),
    _Kind(
        (errno.EROFS,),
        "{} is on a disk that can only be read",
        f"mount it for writing, or take another place, and {_AGAIN}",
    ),
)
_PERMISSION = (errno.EACCES, errno.EPERM)


def refusal(number: int | None, place: Path, *, reading: bool = False) -> OutsideError | None:
    """The error for a number of the system's at `place`; None where it is none of those known."""
    for kind in _KINDS:
        if number in kind.numbers:
            return OutsideError(kind.message.format(place), remedy=kind.remedy)
    return no_permission(place, reading=reading) if number in _PERMISSION else None


def refusal_in(output: str | bytes, place: Path) -> OutsideError | None:
    """The error for what a program at work on `place` said; None where it says none of those."""
    text = output if isinstance(output, str) else output.decode("utf-8", "replace")
    for kind in _KINDS:
        if any(word in text for word in (*map(os.strerror, kind.numbers), *kind.words)):
            return OutsideError(kind.message.format(place), remedy=kind.remedy)
    refused = tuple(map(os.strerror, _PERMISSION))
    if lines := [line for line in text.splitlines() if any(words in line for words in refused)]:
        return OutsideError(
            f"no permission in {place}: {cut(lines[0].strip(), 300)}",
            remedy="make it readable and writable for you, or choose another place, then run the "
            "same command again",
        )
    return None


def no_permission(place: Path, *, reading: bool) -> OutsideError:
    """What to say where a place may not be read, or may not be written."""
    if reading:
        return OutsideError(f"no permission to read {place}", remedy="make it readable for you")
    return OutsideError(
        f"no permission for {place}",
        remedy="make it writable for you, or choose another place, then run it again",
    )
