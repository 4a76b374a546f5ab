"""Changes as people read them: lines with " ", "-" and "+" before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import unified_diff

from ltx2_patcher.values.series import Edit, Hunk


def shown(line: bytes) -> str:
    """A line as text without its end; what is no UTF-8 shows as escapes."""
    return line.decode("utf-8", "backslashreplace").rstrip("\n")


def edit_text(edit: Edit) -> list[str]:
    """What an edit takes, then what it puts."""
    return [*(f"-{shown(line)}" for line in edit.old), *(f"+{shown(line)}" for line in edit.new)]


def hunk_lines(hunk: Hunk) -> Iterator[str]:
    """The lines of the hunk, as its patch file has them."""
    first = hunk.start - 1 if hunk.old else hunk.start
    done = 0
    for edit in hunk.edits:
        yield from (f" {shown(line)}" for line in hunk.old[done : edit.start - first])
        yield from edit_text(edit)
        done = edit.end - first
    yield from (f" {shown(line)}" for line in hunk.old[done:])


def hunk_text(hunk: Hunk) -> tuple[str, ...]:
    """The hunk with its header, as its patch file has it."""
    return (hunk.header.strip(), *hunk_lines(hunk))


def changed_text(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[str, ...]:
    """What makes `new` of `old`, with three lines around each change."""
    before, after = ([shown(line) for line in lines] for lines in (old, new))
    return tuple(unified_diff(before, after, lineterm="", n=3))[2:]
