"""Carry a series to another upstream revision, patch by patch, as far as it goes by itself.

A rebase lives in one file beside upstream's history, replaced whole after each step: whatever ends
the process, the next command goes on from there. Refs below refs/ltx2-patcher/rebase/ hold the
commits so far, a worktree in vendor/ what a person settles, and nothing in patches/ or
vendor/upstream.toml changes before the new base is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import Objects, Revision
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series import history as upstream
from ltx2_patcher.jobs.series.apply import commits_of
from ltx2_patcher.jobs.series.publication import holding
from ltx2_patcher.jobs.series.rebase.new_base import Draft, write, written
from ltx2_patcher.jobs.series.rebase.report import (
    SYMBOLS,
    Aborted,
    RebaseStatus,
    bare_status,
    draft_of,
    waiting_status,
)
from ltx2_patcher.jobs.series.rebase.resolve import leave_conflicts, read_resolution
from ltx2_patcher.jobs.series.rebase.state import RebaseState, next_fits, read_state, unparsed
from ltx2_patcher.jobs.series.rebase.workspace import (
    Workspace,
    lock_of,
    sweep,
    under_way,
)
from ltx2_patcher.rules.series.plan import Stage
from ltx2_patcher.rules.series.three_way import Fit, How
from ltx2_patcher.rules.series.upstream_file import require_base_name
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.rebasing import Outcome, Rebase, Stop, StopReason


def begin(
    store: Store, onto: str, *, source: str | None = None, name: str | None = None
) -> RebaseStatus:
    """Start to carry a series to the upstream revision `onto`, and go as far as it goes.

    `source` is the base to carry, by default the last one before `onto`, else the first after it;
    `name` that of the new base, by default the revision's date.

    Raises: UsageError for a revision, base or name that is none or taken; ConflictError where a
    rebase to that name is under way; OutsideError, BusyError, InvalidError (the series).
    """
    history = upstream.history_with(store, [onto])
    revision = _revision(history, onto)
    base = store.base(source) if source else _nearest(store, history, revision.commit)
    name = name or revision.date
    require_base_name(name)
    with disk.locked(lock_of(history)):
        sweep(store, history)
        workspace = Workspace(store, history, name)
        _require_free(workspace, revision)
        lock = store.lock(base.name)
        digests = {patch: locked.sha256 for patch, locked in lock.patches.items()}
        onto = revision.commit
        state = read_state(workspace, Rebase(name, base.name, digests, onto, revision.date, onto))
        workspace.hold("source", history.build(base.commit, commits_of(base, state.stages))[-1])
        workspace.save(state.rebase)
        return _go_on(state)


def proceed(store: Store, name: str | None = None) -> RebaseStatus:
    """Take what was settled in the worktree as the patch it waits at, and go on.

    A rebase that was cut off goes on from where it was.

    Raises: ConflictError where something is not settled: unmerged or not added files, conflict
    markers, a file outside packages/*/src, one that is new or gone, nothing at all; UsageError
    where none is under way; BusyError, OutsideError, InvalidError.
    """
    with _opened(store, name) as workspace:
        rebase = workspace.load()
        if not rebase.left:
            return _finish(workspace, rebase)
        state = read_state(workspace, rebase)
        if state.waits:
            tree = workspace.worktree()
            assert tree
            settled = Stage(state.patch, read_resolution(state, tree))
            tree.remember()
            (tip,) = workspace.history.build(rebase.tip, commits_of(state.source, [settled]))
            state = state.settled_as([Outcome.BY_HAND], tip)
        return _go_on(state)


def skip(store: Store, name: str | None = None) -> RebaseStatus:
    """Leave the patch it waits at out of the new base, and go on. Raises: as `proceed`."""
    with _opened(store, name) as workspace:
        state = read_state(workspace, workspace.load())
        stop = state.rebase.stop
        if stop is None or not state.waits or not state.rebase.left:
            raise UsageError(
                f"the rebase to {workspace.name} waits at no patch", remedy="go on with --continue"
            )
        kept = workspace.rescue(state.rebase)
        workspace.reset_worktree(state.rebase)
        outcome = Outcome.RETIRED if stop.reason is StopReason.LANDED else Outcome.LEFT_OUT
        done = _go_on(state.settled_as([outcome], state.rebase.tip))
        return replace(done, kept=(*kept, *done.kept))


def abort(store: Store, name: str | None = None) -> Aborted:
    """Everything is as it was before `begin`; what a person had settled is kept in a ref.

    Raises: ConflictError where the new base is written already; UsageError where none is under
    way; BusyError, OutsideError.
    """
    with _opened(store, name) as workspace:
        rebase = workspace.load()
        if not rebase.left:
            with holding(store):  # what was cut off while it wrote the base is finished first
                _require_unwritten(store, rebase)
        kept = workspace.rescue(rebase)
        if not kept and any(item.outcome is Outcome.BY_HAND for item in rebase.settled):
            kept = (workspace.keep(rebase.tip),)
        workspace.end()
        return Aborted(workspace.name, kept)


def status(store: Store, name: str | None = None) -> RebaseStatus:
    """Where a rebase stands. Raises: UsageError where none is under way; BusyError."""
    with _opened(store, name) as workspace:
        return waiting_status(read_state(workspace, workspace.load()))


def _go_on(state: RebaseState) -> RebaseStatus:
    """Commit what goes in by itself; stop at what does not, or write the new base."""
    while state.rebase.left:
        fits = next_fits(state)
        clean = list(takewhile(lambda fit: not unparsed(fit) and fit.how in _GOES_IN, fits))
        if not clean:
            return _stop_at_patch(state, fits[0])
        paths = state.paths
        stages = [
            Stage(fit.patch, {paths[path]: data for path, data in fit.files.items()})
            for fit in clean
        ]
        commits = commits_of(state.source, stages)
        tip = state.workspace.history.build(state.rebase.tip, commits)[-1]
        state = state.settled_as([_GOES_IN[fit.how] for fit in clean], tip)
    return _finish(state.workspace, state.rebase)


_GOES_IN = {How.STRICT: Outcome.STRICT, How.THREE_WAY: Outcome.THREE_WAY}


def _stop_at_patch(state: RebaseState, fit: Fit) -> RebaseStatus:
    """Leave the patch to a person, in the worktree."""
    landed = fit.how is How.LANDED
    kept = state.workspace.rescue(state.rebase)
    state = state.stopped_at(Stop(StopReason.LANDED if landed else StopReason.CONFLICT, None))
    tree = state.workspace.reset_worktree(state.rebase)
    reused = () if landed else leave_conflicts(state, tree, fit)
    stop = state.rebase.stop
    assert stop
    state = state.stopped_at(replace(stop, tree=tree.snapshot(), reused=reused))
    return waiting_status(state, kept)


def _finish(workspace: Workspace, rebase: Rebase) -> RebaseStatus:
    """Write the new base, if that is not done yet, and leave nothing else behind."""
    store = workspace.store
    with holding(store) as finished:
        if _is_written(store, rebase):
            new = written(store, workspace.name)
        else:
            state = read_state(workspace, rebase)  # of patches/ as it is now, and stays
            draft = draft_of(state)
            if draft.lacking:
                return replace(_stop_at_symbols(state, draft), finished=finished)
            new = write(store, draft, state.source)
    disk.remove(workspace.place / SYMBOLS, below=workspace.place)  # the new base has it now
    kept = workspace.rescue(rebase)
    workspace.end()
    return replace(bare_status(workspace, rebase), written=new, kept=kept, finished=finished)


def _is_written(store: Store, rebase: Rebase) -> bool:
    """Whether the new base is there: its pin comes with all of it, in one step."""
    return rebase.name in {base.name for base in store.bases()}


def _stop_at_symbols(state: RebaseState, draft: Draft) -> RebaseStatus:
    kept: tuple[str, ...] = ()
    if not state.waits:
        kept = state.workspace.rescue(state.rebase)
        state = state.stopped_at(Stop(StopReason.SYMBOLS, None))
        tree = state.workspace.reset_worktree(state.rebase)
        disk.replace(tree.tree / SYMBOLS, draft.symbols)
        state = state.stopped_at(Stop(StopReason.SYMBOLS, tree.snapshot()))
    return waiting_status(state, kept)


@contextmanager
def _opened(store: Store, name: str | None) -> Iterator[Workspace]:
    """The rebase called `name`, or the only one, held by this process alone."""
    none = UsageError(
        "no rebase is under way", remedy="begin one with `ltx2-patcher rebase --onto REF`"
    )
    history = upstream.kept_history(store)
    if history is None:
        raise none
    with disk.locked(lock_of(history)):
        names = under_way(history)
        if not names:
            raise none
        if len(names) > 1 if name is None else name not in names:
            raise UsageError(
                f"{len(names)} rebases are under way" if name is None else f"no rebase to {name}",
                remedy=f"name one: {' or '.join(f'--name {known}' for known in names)}",
            )
        yield Workspace(store, history, name or names[0])


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


def _require_unwritten(store: Store, rebase: Rebase) -> None:
    if _is_written(store, rebase):
        raise ConflictError(
            f"the base {rebase.name} is written already",
            remedy="end the rebase with --continue; the base itself goes by removing "
            f"patches/{rebase.name} and its lines in vendor/upstream.toml",
        )


def _require_free(workspace: Workspace, revision: Revision) -> None:
    store, name = workspace.store, workspace.name
    if workspace.record.exists():
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
    for place in (store.patches / name, workspace.place):
        if place.exists():
            raise ConflictError(
                f"{place} is there already",
                remedy="move it away, or choose another name with --name",
            )
