"""What new, edit, drop and move share: their options, and what they report."""

from __future__ import annotations

import sys

from ltx2_patcher.cli.options import DEFAULT_BASE, add_dry_run, path
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.revise import Revised


def add_tree(parser: ArgumentParser) -> None:
    """Whose series is revised, and in which tree."""
    parser.add_argument("--base", default=DEFAULT_BASE)
    parser.add_argument("--tree", type=path, metavar="DIR", help="default: the checkout in vendor/")
    add_dry_run(parser)


def add_message(parser: ArgumentParser) -> None:
    """What a patch says of itself."""
    parser.add_argument(
        "--message", metavar="FILE", help="the whole message, from a file or standard input (-)"
    )
    parser.add_argument("--group", metavar="GROUP", help="the group of the series")
    parser.add_argument("--status", metavar="TEXT", help="its Upstream-Status")


def read_message(name: str) -> str:
    """The text of a file, or of standard input for "-". Raises: UsageError."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else path(name).read_bytes()
        return data.decode("utf-8").strip("\n") + "\n"
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the message can't be read from {name}: {error}", remedy="name a text file"
        ) from error


def lines_of(revised: Revised) -> Iterator[str]:
    """What became of the series, for people."""
    if revised.finished:
        yield f"a change was cut off here and is finished now: {revised.finished}"
    if revised.finished == revised.what:
        return
    if not revised.changed and not revised.removed:
        yield f"nothing to do: the series of {revised.base} is so already"
        return
    yield f"{revised.what}: {len(revised.patches)} patches of {revised.base}"
    yield from (f"  written  {file}" for file in revised.changed)
    yield from (f"  removed  {file}" for file in revised.removed)
    yield from (f"  left     {file} (not committed, not in the series)" for file in revised.left)
    if revised.tip:
        yield f"{revised.place} stands there, branch {revised.branch}; next: make check"
