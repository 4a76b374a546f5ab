"""Line diffs of many pairs of texts in one pass of git, in no one's repository."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.proc import call
from ltx2_patcher.boundaries.sealed_git import failed, sealed_environment
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.values.series import Edit

Pair = tuple[bytes, bytes]

# With no lines of context, only git's own lines start with these words.
_FILE = re.compile(
    rb"^diff --git a/(\d+) |^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE
)


def line_diffs(pairs: Sequence[Pair]) -> list[tuple[Edit, ...]]:
    """The edits that make the second text of each pair from the first, in order.

    The histogram algorithm, as git merges with: it keeps functions together that moved.

    Raises: OutsideError where there is no room for git to work in.
    """
    edits: list[list[Edit]] = [[] for _ in pairs]
    changed = [n for n, (old, new) in enumerate(pairs) if old != new]
    if not changed:
        return [() for _ in pairs]
    with disk.temporary_folder() as folder:
        _git(folder, "init", "-q", "--bare", "--template=")
        _git(folder, "fast-import", "--quiet", "--done", stdin=_stream(pairs, changed))
        flags = ("-r", "-p", "-U0", "--no-renames", "--no-ext-diff", "--no-textconv", "--text")
        algorithm = ("--diff-algorithm=histogram", "--indent-heuristic")
        out = _git(folder, "diff-tree", *flags, *algorithm, "old", "new")
    at, lines = -1, {n: tuple(map(split_lines, pairs[n])) for n in changed}
    for match in _FILE.finditer(out):
        if match[1]:
            at = int(match[1])
            continue
        i, taken, j, put = (int(group) if group else 1 for group in match.groups()[1:])
        # Where no line is taken or put, git gives the line before the place.
        i, j = i - (taken > 0), j - (put > 0)
        old, new = lines[at]
        edits[at].append(Edit(i, tuple(old[i : i + taken]), tuple(new[j : j + put])))
    return [tuple(those) for those in edits]


def _stream(pairs: Sequence[Pair], changed: Sequence[int]) -> bytes:
    """Two commits whose files are named by the pair; a text that many pairs share goes in once."""
    marks: dict[bytes, int] = {}
    blobs = bytearray()
    for text in dict.fromkeys(text for n in changed for text in pairs[n]):
        marks[text] = len(marks) + 1
        blobs += b"blob\nmark :%d\ndata %d\n%s\n" % (marks[text], len(text), text)
    for side, name in enumerate((b"old", b"new")):
        blobs += b"commit refs/heads/%s\ncommitter x <x> 0 +0000\ndata 0\n" % name
        for n in changed:
            blobs += b"M 100644 :%d %d\n" % (marks[pairs[n][side]], n)
        blobs += b"\n"
    return bytes(blobs) + b"done\n"


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    done = call(("git", *arguments), stdin=stdin, cwd=folder, env=sealed_environment())
    if done.code:
        raise failed(folder, arguments[0], done)
    return done.out
