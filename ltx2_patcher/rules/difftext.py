"""Changes as people read them: lines with " ", "-" and "+" before them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff

from ltx2_patcher.values.model import Hunk


def hunk_text(hunk: Hunk) -> tuple[str, ...]:
    """The hunk with its header, as its patch file has it."""
    first = hunk.start - 1 if hunk.old else hunk.start
    lines, done = [hunk.header.strip()], 0
    for edit in hunk.edits:
        lines += [f" {_text(line)}" for line in hunk.old[done : edit.start - first]]
        lines += [f"-{_text(line)}" for line in edit.old]
        lines += [f"+{_text(line)}" for line in edit.new]
        done = edit.end - first
    return (*lines, *(f" {_text(line)}" for line in hunk.old[done:]))


def changed_text(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[str, ...]:
    """What makes `new` of `old`, with three lines around each change."""
    before, after = ([_text(line) for line in lines] for lines in (old, new))
    return tuple(unified_diff(before, after, lineterm="", n=3))[2:]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\n")
