"""Verbs of the series' maintainer: new, edit, drop, move, log, diff."""

from __future__ import annotations

import sys

from ltx2_patcher.cli.patching import DEFAULT_BASE, add_dry_run, tree_of
from ltx2_patcher.cli.report import add_json, path, show, store
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator

    from ltx2_patcher.jobs.series.diff import Compared
    from ltx2_patcher.jobs.series.log import Logged
    from ltx2_patcher.jobs.series.revise import Revised


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""
    new = verbs.add_parser("new", help="make a patch of the uncommitted edits in the patched tree")
    new.add_argument(
        "name", metavar="NAME", help="what it does, as its subject or its file's name says it"
    )
    new.add_argument("--why", metavar="TEXT", help="why it exists")
    new.add_argument("--until", metavar="TEXT", help="when it can go: 'when upstream ...'")
    _words(new)
    new.add_argument("--after", metavar="OTHER", help="its place (default: the end of its group)")
    _revises(new, _new)

    edit = verbs.add_parser(
        "edit", help="fold the uncommitted edits into a patch, or change what it says of itself"
    )
    edit.add_argument("name", metavar="NAME", help="a patch; `overlay` takes the overlay's edits")
    _words(edit)
    edit.add_argument(
        "--part",
        action="store_true",
        help="change a shared patch on this base alone, which gets a file of its own",
    )
    _revises(edit, _edit)

    drop = verbs.add_parser("drop", help="take a patch out of the series")
    drop.add_argument("name", metavar="NAME")
    _revises(drop, _drop)

    move = verbs.add_parser("move", help="give a patch another place in the series")
    move.add_argument("name", metavar="NAME")
    move.add_argument("--after", metavar="OTHER", required=True)
    _revises(move, _move)

    log = verbs.add_parser("log", help="show the series: each patch, why it is there, until when")
    log.add_argument("--base", default=DEFAULT_BASE)
    add_json(log)
    log.set_defaults(verb=_log)

    diff = verbs.add_parser("diff", help="compare our change on two bases, patch by patch")
    diff.add_argument("one", metavar="BASE")
    diff.add_argument("other", metavar="BASE")
    diff.add_argument(
        "--all",
        action="store_true",
        help="count context, indentation and messages too, not only the lines that are changed",
    )
    add_json(diff)
    diff.set_defaults(verb=_diff)


def _words(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--message", metavar="FILE", help="the whole message, from a file or standard input (-)"
    )
    parser.add_argument("--group", metavar="GROUP", help="the group of the series")
    parser.add_argument("--status", metavar="TEXT", help="its Upstream-Status")


def _revises(parser: ArgumentParser, verb: object) -> None:
    parser.add_argument("--base", default=DEFAULT_BASE)
    parser.add_argument("--tree", type=path, metavar="DIR", help="default: the checkout in vendor/")
    add_dry_run(parser)
    parser.set_defaults(verb=verb)


def _new(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import new_patch

    message = _message(args)
    data = store()
    base, tree = data.base(args.base), tree_of(args)
    done = new_patch(data, base, tree, message, after=args.after, dry_run=args.dry_run)
    show(args, done, _revised(done))
    return 0


def _edit(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import edit_patch, reword_patch

    data = store()
    base, tree = data.base(args.base), tree_of(args)
    message = _text(args.message) if args.message else None
    if message or args.group or args.status:
        words = {"message": message, "group": args.group, "status": args.status}
        done = reword_patch(
            data, base, tree, args.name, **words, part=args.part, dry_run=args.dry_run
        )
    else:
        done = edit_patch(data, base, tree, args.name, part=args.part, dry_run=args.dry_run)
    show(args, done, _revised(done))
    return 0


def _drop(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import drop_patch

    data = store()
    done = drop_patch(data, data.base(args.base), tree_of(args), args.name, dry_run=args.dry_run)
    show(args, done, _revised(done))
    return 0


def _move(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.revise import move_patch

    data = store()
    base, tree = data.base(args.base), tree_of(args)
    done = move_patch(data, base, tree, args.name, args.after, dry_run=args.dry_run)
    show(args, done, _revised(done))
    return 0


def _log(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.log import log

    data = store()
    done = log(data, data.base(args.base))
    show(args, done, _logged(done))
    return 0


def _diff(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.diff import compare

    data = store()
    done = compare(data, data.base(args.one), data.base(args.other), everything=args.all)
    show(args, done, _compared(done))
    return 0


def _message(args: Namespace) -> str:
    """The message of a new patch. Raises: UsageError where an option is missing or in the way."""
    from ltx2_patcher.rules.series.mailbox import file_name
    from ltx2_patcher.rules.series.message import parse_message, reworded, written

    name = args.name.removesuffix(".patch")
    if args.message:
        if args.why or args.until:
            raise UsageError("--message says why and until when", remedy="leave the others out")
        message = reworded(_text(args.message), group=args.group, status=args.status)
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


def _text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else path(name).read_bytes()
        return data.decode("utf-8").strip("\n") + "\n"
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the message can't be read from {name}: {error}", remedy="name a text file"
        ) from error


def _revised(done: Revised) -> Iterator[str]:
    if done.finished:
        yield f"a change was cut off here and is finished now: {done.finished}"
    if done.finished == done.what:
        return
    if not done.changed and not done.removed:
        yield f"nothing to do: the series of {done.base} is so already"
        return
    yield f"{done.what}: {len(done.patches)} patches of {done.base}"
    yield from (f"  written  {file}" for file in done.changed)
    yield from (f"  removed  {file}" for file in done.removed)
    yield from (f"  left     {file} (not committed, not in the series)" for file in done.left)
    if done.tip:
        yield f"{done.place} stands there, branch {done.branch}; next: make check"


def _logged(done: Logged) -> Iterator[str]:
    yield (
        f"LTX-2 {done.base} ({done.commit[:12]}): {len(done.patches)} patches, "
        f"{len(done.overlay)} overlay files"
    )
    for number, patch in enumerate(done.patches, start=1):
        hunks = sum(file.hunks for file in patch.files)
        yield ""
        yield f"{number:>2}. {patch.name}"
        yield f"    {patch.group}; {patch.status}"
        yield f"    {len(patch.files)} files, {hunks} hunks, {patch.date}"
        for text in (patch.why, patch.until):
            yield from (f"    {line}".rstrip() for line in ("", *text.splitlines()))
        yield ""
        yield from (f"    {file.hunks:>3} {file.path}" for file in patch.files)


def _compared(done: Compared) -> Iterator[str]:
    yield f"- LTX-2 {done.one}"
    yield f"+ LTX-2 {done.other}"
    for pair in done.pairs:
        one, other = (str(place) if place else "-" for place in pair.places)
        yield f"{one:>2} {pair.likeness.value} {other:>2}  {pair.name}"
        yield from (f"      {line}" for line in pair.lines)
