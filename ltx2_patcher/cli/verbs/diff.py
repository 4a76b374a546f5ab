"""Compare our change on two bases, patch by patch."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.diff import Compared


def options(parser: ArgumentParser) -> None:
    parser.add_argument("one", metavar="BASE")
    parser.add_argument("other", metavar="BASE")
    parser.add_argument(
        "--all",
        action="store_true",
        help="count context, indentation and messages too, not only the lines that are changed",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.diff import compare

    data = store()
    compared = compare(data, data.base(args.one), data.base(args.other), everything=args.all)
    show(args, compared, _lines(compared))
    return 0


def _lines(compared: Compared) -> Iterator[str]:
    yield f"- LTX-2 {compared.one}"
    yield f"+ LTX-2 {compared.other}"
    for pair in compared.pairs:
        one, other = (str(place) if place else "-" for place in pair.places)
        yield f"{one:>2} {pair.likeness.value} {other:>2}  {pair.name}"
        yield from (f"      {line}" for line in pair.lines)
