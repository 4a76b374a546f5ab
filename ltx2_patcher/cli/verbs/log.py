"""Show the series: each patch, why it is there, until when."""

from __future__ import annotations

from ltx2_patcher.cli.options import DEFAULT_BASE, add_json, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.log import Logged


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--base", default=DEFAULT_BASE)
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.log import log

    data = store()
    logged = log(data, data.base(args.base))
    show(args, logged, _lines(logged))
    return 0


def _lines(logged: Logged) -> Iterator[str]:
    yield (
        f"LTX-2 {logged.base} ({logged.commit[:12]}): {len(logged.patches)} patches, "
        f"{len(logged.overlay)} overlay files"
    )
    for number, patch in enumerate(logged.patches, start=1):
        hunks = sum(file.hunks for file in patch.files)
        yield ""
        yield f"{number:>2}. {patch.name}"
        yield f"    {patch.group}; {patch.status}"
        yield f"    {len(patch.files)} files, {hunks} hunks, {patch.date}"
        for text in (patch.why, patch.until):
            yield from (f"    {line}".rstrip() for line in ("", *text.splitlines()))
        yield ""
        yield from (f"    {file.hunks:>3} {file.path}" for file in patch.files)
