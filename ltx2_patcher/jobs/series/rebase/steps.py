"""Carry a series to another upstream revision, patch by patch, as far as it goes by itself.

A rebase lives in one file beside upstream's history, replaced whole after each step: whatever ends
the process, the next command goes on from there. Refs below refs/ltx2-patcher/rebase/ hold the
commits so far, a worktree in vendor/ what a person settles, and nothing in patches/ or
vendor/upstream.toml changes before the new base is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import Objects, Revision
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.worktree import Worktree
from ltx2_patcher.jobs.series import history as upstream
from ltx2_patcher.jobs.series.apply import commits_of
from ltx2_patcher.jobs.series.publication import holding
from ltx2_patcher.jobs.series.rebase import workspace as workbench
from ltx2_patcher.jobs.series.rebase.conflicts import Landing, Trouble, landing, troubles
from ltx2_patcher.jobs.series.rebase.new_base import Draft, NewBase, compose, write, written
from ltx2_patcher.jobs.series.rebase.resolve import lay, take
from ltx2_patcher.jobs.series.rebase.state import Course, next_fits, read_course, unparsed
from ltx2_patcher.jobs.series.rebase.workspace import Earlier, Workbench
from ltx2_patcher.rules.series.diff_text import changed_text
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.plan import Stage
from ltx2_patcher.rules.series.symbols_file import with_moved_paths
from ltx2_patcher.rules.series.three_way import Fit, How
from ltx2_patcher.rules.series.upstream_file import require_base_name
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.rebasing import Halt, Outcome, Reason, Rebase, Settled
from ltx2_patcher.values.series import Patch

SYMBOLS = "symbols.toml"
"""Where in the worktree the new base's symbols are settled."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """A file that a remembered resolution settled; it must still be looked at and added."""

    path: str
    change: tuple[str, ...]  # against upstream's file, as a diff


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a person is needed."""

    reason: Reason
    patch: str | None  # None at the symbols
    why: str  # the patch's own words
    worktree: Path
    unmerged: tuple[str, ...]  # still to be settled and added
    troubles: tuple[Trouble, ...]
    unparsed: tuple[str, ...]  # files that went in without a clash and are no Python then
    reused: tuple[Reuse, ...]
    earlier: Earlier | None  # how it was settled before the rebase was aborted
    landing: Landing | None
    lacking: tuple[str, ...]  # what symbols.toml names and is not there


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rebase stands, or how it ended."""

    name: str
    source: str
    onto: Revision
    settled: tuple[Settled, ...]
    left: tuple[str, ...]  # patches not yet settled, in order
    stopped: Stopped | None  # None where it ended, or was cut off
    written: NewBase | None  # the new base, where it ended
    kept: tuple[str, ...] = ()  # refs of vendor/upstream.git, or folders, with worktree files
    finished: str | None = None  # a change of patches/ that was cut off, and was finished first


@dataclass(frozen=True, slots=True)
class Aborted:
    """A rebase that is gone; refs of vendor/upstream.git hold what a person had settled."""

    name: str
    kept: tuple[str, ...]


def begin(
    store: Store, onto: str, *, source: str | None = None, name: str | None = None
) -> Progress:
    """Start to carry a series to the upstream revision `onto`, and go as far as it goes.

    `source` is the base to carry, by default the last one before `onto`, else the first after it;
    `name` that of the new base, by default the revision's date.

    Raises: UsageError for a revision, base or name that is none or taken; ConflictError where a
    rebase to that name is under way; OutsideError, BusyError, InvalidError (the series).
    """
    history = upstream.history(store)
    if not history.resolve(onto):
        history = upstream.history(store, refresh=True)
    revision = _revision(history, onto)
    base = store.base(source) if source else _nearest(store, history, revision.commit)
    name = name or revision.date
    require_base_name(name)
    with disk.locked(workbench.lock_of(history)):
        workbench.sweep(store, history)
        bench = Workbench(store, history, name)
        _refuse_taken(bench, revision)
        lock = store.lock(base.name)
        digests = {patch: locked.sha256 for patch, locked in lock.patches.items()}
        onto = revision.commit
        course = read_course(bench, Rebase(name, base.name, digests, onto, revision.date, onto))
        bench.hold("source", history.build(base.commit, commits_of(base, course.made))[-1])
        bench.save(course.rebase)
        return _go_on(course)


def proceed(store: Store, name: str | None = None) -> Progress:
    """Take what was settled in the worktree as the patch it waits at, and go on.

    A rebase that was cut off goes on from where it was.

    Raises: ConflictError where something is not settled: unmerged or not added files, conflict
    markers, a file outside packages/*/src, one that is new or gone, nothing at all; UsageError
    where none is under way; BusyError, OutsideError, InvalidError.
    """
    with _under_way(store, name) as bench:
        rebase = bench.load()
        if not rebase.left:
            return _finish(bench, rebase)
        course = read_course(bench, rebase)
        if course.waits:
            tree = bench.worktree()
            assert tree
            settled = Stage(course.patch, take(course, tree))
            tree.remember()
            (tip,) = bench.history.build(rebase.tip, commits_of(course.source, [settled]))
            course = course.settled_as([Outcome.BY_HAND], tip)
        return _go_on(course)


def skip(store: Store, name: str | None = None) -> Progress:
    """Leave the patch it waits at out of the new base, and go on. Raises: as `proceed`."""
    with _under_way(store, name) as bench:
        course = read_course(bench, bench.load())
        halt = course.rebase.halt
        if halt is None or not course.waits or not course.rebase.left:
            raise UsageError(
                f"the rebase to {bench.name} waits at no patch", remedy="go on with --continue"
            )
        kept = bench.rescue(course.rebase)
        bench.cleared(course.rebase)
        outcome = Outcome.RETIRED if halt.reason is Reason.LANDED else Outcome.LEFT_OUT
        done = _go_on(course.settled_as([outcome], course.rebase.tip))
        return replace(done, kept=(*kept, *done.kept))


def abort(store: Store, name: str | None = None) -> Aborted:
    """Everything is as it was before `begin`; what a person had settled is kept in a ref.

    Raises: ConflictError where the new base is written already; UsageError where none is under
    way; BusyError, OutsideError.
    """
    with _under_way(store, name) as bench:
        rebase = bench.load()
        if not rebase.left:
            with holding(store):  # what was cut off while it wrote the base is finished first
                _refuse_written(store, rebase)
        kept = bench.rescue(rebase)
        if not kept and any(item.outcome is Outcome.BY_HAND for item in rebase.settled):
            kept = (bench.keep(rebase.tip),)
        bench.end()
        return Aborted(bench.name, kept)


def standing(store: Store, name: str | None = None) -> Progress:
    """Where a rebase stands. Raises: UsageError where none is under way; BusyError."""
    with _under_way(store, name) as bench:
        return _waiting(read_course(bench, bench.load()))


def _go_on(course: Course) -> Progress:
    """Commit what goes in by itself; stop at what does not, or write the new base."""
    while course.rebase.left:
        fits = next_fits(course)
        clean = list(takewhile(lambda fit: not unparsed(fit) and fit.how in _GOES_IN, fits))
        if not clean:
            return _stop(course, fits[0])
        paths = course.stops[-1].paths
        made = [
            Stage(fit.patch, {paths[path]: data for path, data in fit.files.items()})
            for fit in clean
        ]
        commits = commits_of(course.source, made)
        tip = course.bench.history.build(course.rebase.tip, commits)[-1]
        course = course.settled_as([_GOES_IN[fit.how] for fit in clean], tip)
    return _finish(course.bench, course.rebase)


_GOES_IN = {How.STRICT: Outcome.STRICT, How.THREE_WAY: Outcome.THREE_WAY}


def _stop(course: Course, fit: Fit) -> Progress:
    """Hand the patch over in the worktree."""
    landed = fit.how is How.LANDED
    kept = course.bench.rescue(course.rebase)
    course = course.halted(Halt(Reason.LANDED if landed else Reason.CONFLICT, None))
    tree = course.bench.cleared(course.rebase)
    reused = () if landed else lay(course, tree, fit)
    halt = course.rebase.halt
    assert halt
    course = course.halted(replace(halt, laid=tree.snapshot(), reused=reused))
    return _waiting(course, kept)


def _finish(bench: Workbench, rebase: Rebase) -> Progress:
    """Write the new base, if that is not done yet, and leave nothing else behind."""
    store = bench.store
    with holding(store) as finished:
        if _is_written(store, rebase):
            new = written(store, bench.name)
        else:
            course = read_course(bench, rebase)  # of patches/ as it is now, and stays
            draft = _draft(course)
            if draft.lacking:
                return replace(_stop_at_symbols(course, draft), finished=finished)
            new = write(store, draft, course.source)
    disk.remove(bench.place / SYMBOLS, below=bench.place)  # the new base has it now
    kept = bench.rescue(rebase)
    bench.end()
    return replace(_progress(bench, rebase), written=new, kept=kept, finished=finished)


def _is_written(store: Store, rebase: Rebase) -> bool:
    """Whether the new base is there: its pin comes with all of it, in one step."""
    return rebase.name in {base.name for base in store.bases()}


def _draft(course: Course) -> Draft:
    """The new base as it would be written now."""
    bench, rebase, source = course.bench, course.rebase, course.source
    base = replace(source, name=bench.name, commit=rebase.onto, date=rebase.date, wheels=())
    moved = {old: new for old, new in course.stops[-1].paths.items() if old != new}
    symbols = disk.read(bench.place / SYMBOLS)
    if symbols is None:
        symbols = with_moved_paths(bench.store.symbols_text(source.name), moved)
    return compose(bench.store, bench.history, source, base, rebase.tip, symbols)


def _stop_at_symbols(course: Course, draft: Draft) -> Progress:
    kept: tuple[str, ...] = ()
    if not course.waits:
        kept = course.bench.rescue(course.rebase)
        course = course.halted(Halt(Reason.SYMBOLS, None))
        tree = course.bench.cleared(course.rebase)
        disk.replace(tree.tree / SYMBOLS, draft.symbols)
        course = course.halted(Halt(Reason.SYMBOLS, tree.snapshot()))
    return _waiting(course, kept)


def _progress(bench: Workbench, rebase: Rebase) -> Progress:
    onto = _revision(bench.history, rebase.onto)
    return Progress(rebase.name, rebase.source, onto, rebase.settled, rebase.left, None, None)


def _waiting(course: Course, kept: tuple[str, ...] = ()) -> Progress:
    stopped = _stopped(course) if course.waits else None
    return replace(_progress(course.bench, course.rebase), stopped=stopped, kept=kept)


def _stopped(course: Course) -> Stopped:
    bench, rebase, halt = course.bench, course.rebase, course.rebase.halt
    tree = bench.worktree()
    assert halt
    assert tree
    stopped = Stopped(halt.reason, None, "", bench.place, (), (), (), (), None, None, ())
    if halt.reason is Reason.SYMBOLS:
        return replace(stopped, lacking=_draft(course).lacking)
    (fit,) = next_fits(course, 1)
    where = (bench.history, course.series)
    stopped = replace(
        stopped, patch=fit.patch.name, why=_reason(fit.patch), unmerged=tuple(tree.unmerged())
    )
    if halt.reason is Reason.LANDED:
        found = landing(*where, fit.patch, course.stops, rebase.tip)
        return replace(stopped, landing=found)
    return replace(
        stopped,
        troubles=troubles(*where, fit, course.stops, rebase.tip),
        unparsed=tuple(course.stops[-1].paths[path] for path in unparsed(fit)),
        reused=tuple(_reuse(tree, rebase.tip, path) for path in halt.reused),
        earlier=bench.earlier(fit.patch, rebase.tip),
    )


def _reuse(tree: Worktree, tip: str, path: str) -> Reuse:
    theirs, now = tree.blobs(tip, [path])[path], disk.read(tree.tree / path) or b""
    return Reuse(path, changed_text(split_lines(theirs), split_lines(now)))


def _reason(patch: Patch) -> str:
    """The first paragraph of a patch's message."""
    return " ".join(patch.body.strip().partition("\n\n")[0].split())


@contextmanager
def _under_way(store: Store, name: str | None) -> Iterator[Workbench]:
    """The rebase called `name`, or the only one, held by this process alone."""
    none = UsageError(
        "no rebase is under way", remedy="begin one with `ltx2-patcher rebase --onto REF`"
    )
    history = upstream.kept_history(store)
    if history is None:
        raise none
    with disk.locked(workbench.lock_of(history)):
        names = workbench.under_way(history)
        if not names:
            raise none
        if len(names) > 1 if name is None else name not in names:
            raise UsageError(
                f"{len(names)} rebases are under way" if name is None else f"no rebase to {name}",
                remedy=f"name one: {' or '.join(f'--name {known}' for known in names)}",
            )
        yield Workbench(store, history, name or names[0])


def _revision(history: Objects, ref: str) -> Revision:
    """Raises: UsageError where it is none, or more than one."""
    commit = None if ref.startswith("-") else history.resolve(ref)
    if commit is None:
        raise UsageError(
            f"{ref!r} is no revision of upstream",
            remedy="name a commit of its main branch, or main itself",
        )
    return history.revisions([commit], walk=False)[0]


def _nearest(store: Store, history: Objects, commit: str) -> Base:
    """The base with the fewest revisions between it and `commit`, one before it if there is one."""

    def way(base: Base) -> tuple[bool, int]:
        if history.is_ancestor(base.commit, commit):
            return False, len(history.commits_between(base.commit, commit))
        return True, len(history.commits_between(commit, base.commit))

    bases = store.bases()
    known = [base for base in bases if history.resolve(base.commit)]
    return min(known, key=way, default=bases[0])


def _refuse_written(store: Store, rebase: Rebase) -> None:
    if _is_written(store, rebase):
        raise ConflictError(
            f"the base {rebase.name} is written already",
            remedy="end the rebase with --continue; the base itself goes by removing "
            f"patches/{rebase.name} and its lines in vendor/upstream.toml",
        )


def _refuse_taken(bench: Workbench, revision: Revision) -> None:
    store, name = bench.store, bench.name
    if bench.record.exists():
        raise ConflictError(
            f"a rebase to {name} is under way",
            remedy="`ltx2-patcher rebase` says where it stands; go on with --continue or --skip, "
            "or end it with --abort",
        )
    for base in store.bases():
        if base.commit == revision.commit:
            raise UsageError(
                f"{revision.commit[:12]} is the base {base.name} already",
                remedy="name another revision with --onto",
            )
        if base.name == name:
            raise UsageError(
                f"there is a base {name} already", remedy="choose another name with --name"
            )
    for place in (store.patches / name, bench.place):
        if place.exists():
            raise ConflictError(
                f"{place} is there already",
                remedy="move it away, or choose another name with --name",
            )
