"""The verb that carries a series to another upstream revision: rebase."""

from __future__ import annotations

from ltx2_patcher.cli.report import add_json, show, store
from ltx2_patcher.values.errors import ConflictError, UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator, Sequence

    from ltx2_patcher.boundaries.objects import Revision
    from ltx2_patcher.jobs.series.rebase.conflicts import Trouble
    from ltx2_patcher.jobs.series.rebase.steps import Aborted, Progress, Stopped

_SHOWN_LINES = 40


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verb; its job is imported when it is called."""
    rebase = verbs.add_parser(
        "rebase",
        help="carry a series to another upstream revision; alone, tell where that stands",
    )
    step = rebase.add_mutually_exclusive_group()
    step.add_argument("--onto", metavar="REF", help="begin: the upstream revision to carry to")
    step.add_argument(
        "--continue", dest="go_on", action="store_true", help="take what was settled and go on"
    )
    step.add_argument("--skip", action="store_true", help="leave this patch out and go on")
    step.add_argument("--abort", action="store_true", help="end it; everything is as before")
    rebase.add_argument(
        "--from",
        dest="source",
        metavar="BASE",
        help="the base to carry (default: the last one before REF)",
    )
    rebase.add_argument(
        "--name", help="of the new base (default: the date of REF); else which rebase is meant"
    )
    add_json(rebase)
    rebase.set_defaults(verb=_rebase)


def _rebase(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.rebase import steps as rebase

    if args.source and args.onto is None:
        raise UsageError("--from goes with --onto", remedy="leave it out, or name --onto REF")
    data = store()
    if args.abort:
        ended = rebase.abort(data, args.name)
        show(args, ended, _aborted(ended))
        return 0
    if args.onto is not None:
        done = rebase.begin(data, args.onto, source=args.source, name=args.name)
    elif args.go_on:
        done = rebase.proceed(data, args.name)
    elif args.skip:
        done = rebase.skip(data, args.name)
    else:
        done = rebase.standing(data, args.name)
    show(args, done, _lines(done))
    asked_only = not (args.onto is not None or args.go_on or args.skip)
    return 0 if done.written or asked_only else ConflictError.exit_code


def _lines(done: Progress) -> Iterator[str]:
    yield (
        f"the series of {done.source} onto {done.onto.commit[:12]} ({done.onto.date}), "
        f"to be the base {done.name}"
    )
    for item in done.settled:
        yield f"  {item.outcome.value:<10} {item.patch}"
    for ref in done.kept:
        yield _kept(ref)
    if done.finished:
        yield f"a change was cut off here and is finished now: {done.finished}"
    if done.written:
        yield from _written(done)
    elif done.stopped:
        yield from _stopped(done, done.stopped)
    else:
        yield f"cut off with {len(done.left)} patches to go"
        yield "to do: ltx2-patcher rebase --continue   (or --abort)"


def _written(done: Progress) -> Iterator[str]:
    yield f"patches/{done.name}/ and its pin in vendor/upstream.toml are written, and sound"
    yield "left for you:"
    yield f"  ltx2-patcher diff {done.source} {done.name}   (is each difference meant?)"
    yield (
        f"  vendor/upstream.toml: loads, environment and accepts are {done.source}'s so far; "
        "set what this upstream asks for"
    )
    yield f"  make patch install verify BASE={done.name}   (its own scripts, end to end)"
    yield "  ltx2-patcher matrix --write   (which revisions are served now)"
    yield "  make test-all   (the proofs of every base), then commit"


def _stopped(done: Progress, stopped: Stopped) -> Iterator[str]:
    if stopped.patch is None:
        yield "stopped at the symbols: symbols.toml names what is not there on this revision"
        for sentence in stopped.lacking:
            yield f"  {sentence}"
        yield "to do:"
        yield f"  correct {stopped.worktree}/symbols.toml"
        yield "  ltx2-patcher rebase --continue   (or --abort)"
        return
    number, total = len(done.settled) + 1, len(done.settled) + len(done.left)
    yield f"stopped at {number} of {total}: {stopped.patch}"
    yield f"  why it exists: {stopped.why}"
    if stopped.landing:
        since = f" since {_named(stopped.landing.by)}" if stopped.landing.by else ""
        yield f"  it landed: upstream has what it does{since}"
        for place in stopped.landing.places:
            yield f"    {place.path}:{place.line} holds {place.found} of its {place.wanted} names"
        yield "to do:"
        yield "  ltx2-patcher rebase --skip       retires it: the new base goes without"
        yield (
            f"  or edit and `git add` in {stopped.worktree} what it must still change, then "
            "ltx2-patcher rebase --continue"
        )
        return
    for path in dict.fromkeys(trouble.path for trouble in stopped.troubles):
        yield from _troubles(path, [item for item in stopped.troubles if item.path == path])
    for path in stopped.unparsed:
        yield f"  {path} merges without a clash, and is no Python then"
    for reuse in stopped.reused:
        yield f"  {reuse.path} was settled as last time; look at it:"
        yield from _cut(reuse.change)
    yield "to do:"
    yield f"  cd {stopped.worktree}   (git status, git mergetool and git diff work there)"
    if earlier := stopped.earlier:
        yield f"  it was settled before, on the same files: git show {earlier.commit[:12]}"
        yield f"  to take that: git checkout {earlier.commit[:12]} -- {' '.join(earlier.paths)}"
    gone = {trouble.path for trouble in stopped.troubles if trouble.gone}
    for path in stopped.unmerged:
        if path in gone:
            yield f"  move its change to where the code lies now, then: git rm -q {path}"
        else:
            yield f"  settle, then: git add {path}"
    yield "  ltx2-patcher rebase --continue   (--skip leaves the patch out, --abort ends it all)"


def _troubles(path: str, troubles: Sequence[Trouble]) -> Iterator[str]:
    """What stands in the way in one file."""
    first = troubles[0]
    if first.gone:
        yield f"  {path} is gone{_by(first)}; our hunks:"
    else:
        yield f"  {path} clashes; our hunks, and what upstream did to those places:"
    for trouble in troubles:
        yield from _cut(trouble.ours)
        if trouble.upstream:
            yield f"  upstream{_by(trouble)}:"
            yield from _cut(trouble.upstream)
        elif not trouble.gone and trouble.by is None:
            yield "  upstream did not: it clashes with how an earlier patch was settled"
        if there := trouble.elsewhere:
            then = f" as of {trouble.by.commit[:10]}" if trouble.by else ""
            yield f"  this code stands in {there.path}:{there.line}{then}"


def _by(trouble: Trouble) -> str:
    return f" in {_named(trouble.by)}" if trouble.by else ""


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
