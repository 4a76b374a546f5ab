"""Give a patch another place in the series."""

from __future__ import annotations

from ltx2_patcher.cli.options import store, tree_of
from ltx2_patcher.cli.report import show
from ltx2_patcher.cli.revising import add_tree, lines_of

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--after", metavar="OTHER", required=True)
    add_tree(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import move_patch

    data = store()
    base, tree = data.base(args.base), tree_of(args)
    revised = move_patch(data, base, tree, args.name, args.after, dry_run=args.dry_run)
    show(args, revised, lines_of(revised))
    return 0
