"""Where a rebase stands, told to a person: what is done, and what a stop needs to be settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import Revision
from ltx2_patcher.boundaries.worktree import Worktree
from ltx2_patcher.jobs.series.rebase.conflicts import Conflict, Landing, conflicts, landing
from ltx2_patcher.jobs.series.rebase.new_base import Draft, NewBase, compose
from ltx2_patcher.jobs.series.rebase.state import RebaseState, next_fits, unparsed
from ltx2_patcher.jobs.series.rebase.workspace import EarlierResolution, Workspace
from ltx2_patcher.rules.series.diff_text import changed_text
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.symbols_file import with_moved_paths
from ltx2_patcher.values.rebasing import Rebase, SettledPatch, StopReason
from ltx2_patcher.values.series import Patch

SYMBOLS = "symbols.toml"
"""Where in the worktree the new base's symbols are settled."""


@dataclass(frozen=True, slots=True)
class ReusedResolution:
    """A file that a remembered resolution settled; it must still be looked at and added."""

    path: str
    change: tuple[str, ...]  # against upstream's file, as a diff


@dataclass(frozen=True, slots=True)
class StopReport:
    """A stop, with all that a person needs to settle it."""

    reason: StopReason
    patch: str | None  # None at the symbols
    why: str  # the patch's own words
    worktree: Path
    unmerged: tuple[str, ...]  # still to be settled and added
    conflicts: tuple[Conflict, ...]
    unparsed: tuple[str, ...]  # files that went in without a clash and are no Python then
    reused: tuple[ReusedResolution, ...]
    earlier: EarlierResolution | None  # how it was settled before the rebase was aborted
    landing: Landing | None
    lacking: tuple[str, ...]  # what symbols.toml names and is not there


@dataclass(frozen=True, slots=True)
class RebaseStatus:
    """Where a rebase stands, or how it ended."""

    name: str
    source: str
    onto: Revision
    settled: tuple[SettledPatch, ...]
    left: tuple[str, ...]  # patches not yet settled, in order
    stopped: StopReport | None  # None where it ended, or was cut off
    written: NewBase | None  # the new base, where it ended
    kept: tuple[str, ...] = ()  # refs of vendor/upstream.git, or folders, with worktree files
    finished: str | None = None  # a change of patches/ that was cut off, and was finished first


@dataclass(frozen=True, slots=True)
class Aborted:
    """A rebase that is gone; refs of vendor/upstream.git hold what a person had settled."""

    name: str
    kept: tuple[str, ...]


def draft_of(state: RebaseState) -> Draft:
    """The new base as it would be written now."""
    workspace, rebase, source = state.workspace, state.rebase, state.source
    base = replace(source, name=workspace.name, commit=rebase.onto, date=rebase.date, wheels=())
    moved = {old: new for old, new in state.paths.items() if old != new}
    symbols = disk.read(workspace.place / SYMBOLS)
    if symbols is None:
        symbols = with_moved_paths(workspace.store.symbols_text(source.name), moved)
    return compose(workspace.store, workspace.history, source, base, rebase.tip, symbols)


def bare_status(workspace: Workspace, rebase: Rebase) -> RebaseStatus:
    """Where it stands, without a stop or an end."""
    (onto,) = workspace.history.revisions([rebase.onto], walk=False)
    return RebaseStatus(rebase.name, rebase.source, onto, rebase.settled, rebase.left, None, None)


def waiting_status(state: RebaseState, kept: tuple[str, ...] = ()) -> RebaseStatus:
    """Where it stands, with its stop where it waits at one."""
    stopped = _stop_report(state) if state.waits else None
    return replace(bare_status(state.workspace, state.rebase), stopped=stopped, kept=kept)


def _stop_report(state: RebaseState) -> StopReport:
    workspace, rebase, stop = state.workspace, state.rebase, state.rebase.stop
    tree = workspace.worktree()
    assert stop
    assert tree
    report = StopReport(stop.reason, None, "", workspace.place, (), (), (), (), None, None, ())
    if stop.reason is StopReason.SYMBOLS:
        return replace(report, lacking=draft_of(state).lacking)
    (fit,) = next_fits(state, 1)
    where = (workspace.history, state.series)
    report = replace(
        report, patch=fit.patch.name, why=_reason(fit.patch), unmerged=tuple(tree.unmerged())
    )
    if stop.reason is StopReason.LANDED:
        return replace(report, landing=landing(*where, fit.patch, state.revisions, rebase.tip))
    return replace(
        report,
        conflicts=conflicts(*where, fit, state.revisions, rebase.tip),
        unparsed=tuple(state.paths[path] for path in unparsed(fit)),
        reused=tuple(_reused(tree, rebase.tip, path) for path in stop.reused),
        earlier=workspace.earlier_resolution(fit.patch, rebase.tip),
    )


def _reused(tree: Worktree, tip: str, path: str) -> ReusedResolution:
    theirs, now = tree.blobs(tip, [path])[path], disk.read(tree.tree / path) or b""
    return ReusedResolution(path, changed_text(split_lines(theirs), split_lines(now)))


def _reason(patch: Patch) -> str:
    """The first paragraph of a patch's message."""
    return " ".join(patch.body.strip().partition("\n\n")[0].split())
