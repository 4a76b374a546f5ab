"""Fold the uncommitted edits into a patch, or change what it says of itself."""

from __future__ import annotations

from ltx2_patcher.cli.options import store, tree_of
from ltx2_patcher.cli.report import show
from ltx2_patcher.cli.revising import add_message, add_tree, lines_of, read_message

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a patch; `overlay` takes the overlay's edits")
    add_message(parser)
    parser.add_argument(
        "--part",
        action="store_true",
        help="change a shared patch on this base alone, which gets a file of its own",
    )
    add_tree(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import edit_patch, reword_patch

    data = store()
    base, tree = data.base(args.base), tree_of(args)
    message = read_message(args.message) if args.message else None
    if message or args.group or args.status:
        wording = {"message": message, "group": args.group, "status": args.status}
        revised = reword_patch(
            data, base, tree, args.name, **wording, part=args.part, dry_run=args.dry_run
        )
    else:
        revised = edit_patch(data, base, tree, args.name, part=args.part, dry_run=args.dry_run)
    show(args, revised, lines_of(revised))
    return 0
