"""Make a patch of the uncommitted edits in the patched tree."""

from __future__ import annotations

from ltx2_patcher.cli.options import store, tree_of
from ltx2_patcher.cli.report import show
from ltx2_patcher.cli.revising import add_message, add_tree, lines_of, read_message
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="what it does, as its subject or its file's name says it"
    )
    parser.add_argument("--why", metavar="TEXT", help="why it exists")
    parser.add_argument("--until", metavar="TEXT", help="when it can go: 'when upstream ...'")
    add_message(parser)
    parser.add_argument(
        "--after", metavar="OTHER", help="its place (default: the end of its group)"
    )
    add_tree(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import new_patch

    message = _message(args)
    data = store()
    base, tree = data.base(args.base), tree_of(args)
    revised = new_patch(data, base, tree, message, after=args.after, dry_run=args.dry_run)
    show(args, revised, lines_of(revised))
    return 0


def _message(args: Namespace) -> str:
    """The message of a new patch. Raises: UsageError where an option is missing or in the way."""
    from ltx2_patcher.rules.series.mailbox import file_name
    from ltx2_patcher.rules.series.message import parse_message, reworded, written

    name = args.name.removesuffix(".patch")
    if args.message:
        if args.why or args.until:
            raise UsageError("--message says why and until when", remedy="leave the others out")
        message = reworded(read_message(args.message), group=args.group, status=args.status)
        subject = parse_message("the message", message).subject
        if file_name(subject) != file_name(name):
            raise UsageError(
                f"the message's subject gives {file_name(subject)}, not {file_name(name)}",
                remedy="give both the same name",
            )
        return message
    parts = ("why", "until", "status", "group")
    if lacking := [f"--{part}" for part in parts if not getattr(args, part)]:
        raise UsageError(
            f"a patch says why it exists and when it can go: {', '.join(lacking)} missing",
            remedy="give them, or the whole message with --message FILE",
        )
    subject = name if " " in name else name.replace("_", " ").capitalize()
    return written(subject, args.why, args.until, args.status, args.group)
