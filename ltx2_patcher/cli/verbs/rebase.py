"""Carry a series to another upstream revision; alone, tell where that stands."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, store
from ltx2_patcher.cli.report import show
from ltx2_patcher.values.errors import ConflictError, UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ltx2_patcher.boundaries.objects import Revision
    from ltx2_patcher.jobs.series.rebase.conflicts import Conflict, Landing
    from ltx2_patcher.jobs.series.rebase.report import Aborted, RebaseStatus, StopReport

_SHOWN_LINES = 40


def options(parser: ArgumentParser) -> None:
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--onto", metavar="REF", help="begin: the upstream revision to carry to")
    step.add_argument(
        "--continue", dest="go_on", action="store_true", help="take what was settled and go on"
    )
    step.add_argument("--skip", action="store_true", help="leave this patch out and go on")
    step.add_argument("--abort", action="store_true", help="end it; everything is as before")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="BASE",
        help="the base to carry (default: the last one before REF)",
    )
    parser.add_argument(
        "--name", help="of the new base (default: the date of REF); else which rebase is meant"
    )
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.rebase import steps

    if args.source and args.onto is None:
        raise UsageError("--from goes with --onto", remedy="leave it out, or name --onto REF")
    data = store()
    if args.abort:
        ended = steps.abort(data, args.name)
        show(args, ended, _aborted(ended))
        return 0
    if args.onto is not None:
        status = steps.begin(data, args.onto, source=args.source, name=args.name)
    elif args.go_on:
        status = steps.proceed(data, args.name)
    elif args.skip:
        status = steps.skip(data, args.name)
    else:
        status = steps.status(data, args.name)
    show(args, status, _lines(status))
    asked_only = not (args.onto is not None or args.go_on or args.skip)
    return 0 if status.written or asked_only else ConflictError.exit_code


def _lines(status: RebaseStatus) -> Iterator[str]:
    yield (
        f"the series of {status.source} onto {status.onto.commit[:12]} ({status.onto.date}), "
        f"to be the base {status.name}"
    )
    for item in status.settled:
        yield f"  {item.outcome.value:<10} {item.patch}"
    for ref in status.kept:
        yield _kept(ref)
    if status.finished:
        yield f"a change was cut off here and is finished now: {status.finished}"
    if status.written:
        yield from _written(status)
    elif status.stopped:
        yield from _stopped(status, status.stopped)
    else:
        yield f"cut off with {len(status.left)} patches to go"
        yield "to do: ltx2-patcher rebase --continue   (or --abort)"


def _written(status: RebaseStatus) -> Iterator[str]:
    yield f"patches/{status.name}/ and its pin in vendor/upstream.toml are written, and sound"
    yield "left for you:"
    yield f"  ltx2-patcher diff {status.source} {status.name}   (is each difference meant?)"
    yield (
        f"  vendor/upstream.toml: loads, environment and accepts are {status.source}'s so far; "
        "set what this upstream asks for"
    )
    yield f"  make patch install verify BASE={status.name}   (its own scripts, end to end)"
    yield "  ltx2-patcher matrix --write   (which revisions are supported now)"
    yield "  make test-all   (the proofs of every base), then commit"


def _stopped(status: RebaseStatus, stopped: StopReport) -> Iterator[str]:
    if stopped.patch is None:
        yield from _stopped_at_symbols(stopped)
        return
    number, total = len(status.settled) + 1, len(status.settled) + len(status.left)
    yield f"stopped at {number} of {total}: {stopped.patch}"
    yield f"  why it exists: {stopped.why}"
    if stopped.landing:
        yield from _landed(stopped.landing, stopped.worktree)
    else:
        yield from _in_the_way(stopped)
        yield from _to_settle(stopped)


def _stopped_at_symbols(stopped: StopReport) -> Iterator[str]:
    yield "stopped at the symbols: symbols.toml names what is not there on this revision"
    for sentence in stopped.lacking:
        yield f"  {sentence}"
    yield "to do:"
    yield f"  correct {stopped.worktree}/symbols.toml"
    yield "  ltx2-patcher rebase --continue   (or --abort)"


def _landed(landing: Landing, worktree: Path) -> Iterator[str]:
    since = f" since {_named(landing.by)}" if landing.by else ""
    yield f"  it landed: upstream has what it does{since}"
    for place in landing.places:
        yield f"    {place.path}:{place.line} holds {place.found} of its {place.wanted} names"
    yield "to do:"
    yield "  ltx2-patcher rebase --skip       retires it: the new base goes without"
    yield (
        f"  or edit and `git add` in {worktree} what it must still change, then "
        "ltx2-patcher rebase --continue"
    )


def _in_the_way(stopped: StopReport) -> Iterator[str]:
    for path in dict.fromkeys(conflict.path for conflict in stopped.conflicts):
        yield from _conflicts(path, [item for item in stopped.conflicts if item.path == path])
    for path in stopped.unparsed:
        yield f"  {path} merges without a clash, and is no Python then"
    for reused in stopped.reused:
        yield f"  {reused.path} was settled as last time; look at it:"
        yield from _cut(reused.change)


def _to_settle(stopped: StopReport) -> Iterator[str]:
    yield "to do:"
    yield f"  cd {stopped.worktree}   (git status, git mergetool and git diff work there)"
    if earlier := stopped.earlier:
        yield f"  it was settled before, on the same files: git show {earlier.commit[:12]}"
        yield f"  to take that: git checkout {earlier.commit[:12]} -- {' '.join(earlier.paths)}"
    gone = {conflict.path for conflict in stopped.conflicts if conflict.gone}
    for path in stopped.unmerged:
        if path in gone:
            yield f"  move its change to where the code lies now, then: git rm -q {path}"
        else:
            yield f"  settle, then: git add {path}"
    yield "  ltx2-patcher rebase --continue   (--skip leaves the patch out, --abort ends it all)"


def _conflicts(path: str, conflicts: Sequence[Conflict]) -> Iterator[str]:
    """What stands in the way in one file."""
    first = conflicts[0]
    if first.gone:
        yield f"  {path} is gone{_by(first)}; our hunks:"
    else:
        yield f"  {path} clashes; our hunks, and what upstream did to those places:"
    for conflict in conflicts:
        yield from _cut(conflict.ours)
        if conflict.upstream:
            yield f"  upstream{_by(conflict)}:"
            yield from _cut(conflict.upstream)
        elif not conflict.gone and conflict.by is None:
            yield "  upstream did not: it clashes with how an earlier patch was settled"
        if there := conflict.elsewhere:
            then = f" as of {conflict.by.commit[:10]}" if conflict.by else ""
            yield f"  this code stands in {there.path}:{there.line}{then}"


def _by(conflict: Conflict) -> str:
    return f" in {_named(conflict.by)}" if conflict.by else ""


def _named(revision: Revision) -> str:
    return f"{revision.commit[:10]} ({revision.date})"


def _aborted(ended: Aborted) -> Iterator[str]:
    yield f"the rebase to {ended.name} is gone; patches/ and vendor/upstream.toml are as before"
    for ref in ended.kept:
        yield _kept(ref)


def _kept(what: str) -> str:
    """Where to find what a person had in the worktree: a ref, or a folder."""
    show = f"git -C vendor/upstream.git show {what}" if what.startswith("refs/") else what
    return f"  kept: {show}"


def _cut(lines: Sequence[str]) -> Iterator[str]:
    for line in lines[:_SHOWN_LINES]:
        yield f"    {line}"
    if len(lines) > _SHOWN_LINES:
        yield f"    ... {len(lines) - _SHOWN_LINES} lines more"
