"""A rebase with all that it works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.jobs.series.rebase.revisions import TrackedRevision, track
from ltx2_patcher.jobs.series.rebase.workspace import Workspace
from ltx2_patcher.rules.series.plan import Stage, stages
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.rules.series.three_way import Fit, replay
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.rebasing import Outcome, Rebase, SettledPatch, Stop
from ltx2_patcher.values.series import Patch, Series


@dataclass(frozen=True, slots=True)
class RebaseState:
    """A rebase with all that it works on."""

    workspace: Workspace
    rebase: Rebase
    source: Base
    series: Series
    before: tuple[Mapping[str, bytes], ...]  # the touched files before each patch, at the source
    stages: tuple[Stage, ...]  # each patch and what it makes there
    revisions: tuple[TrackedRevision, ...]  # from the source's to the one that it goes onto

    @property
    def at(self) -> int:
        """How many patches are settled."""
        return len(self.rebase.settled)

    @property
    def patch(self) -> Patch:
        """The next one."""
        return self.series.patches[self.at]

    @property
    def paths(self) -> Mapping[str, str]:
        """Where each touched file lies on the new base: path at the source -> path there."""
        return self.revisions[-1].paths

    @property
    def waits(self) -> bool:
        """Whether it waits for a person, whose worktree is still there."""
        stop = self.rebase.stop
        return bool(stop and stop.tree and self.workspace.worktree())

    def settled_as(self, outcomes: Sequence[Outcome], tip: str) -> RebaseState:
        """The same, recorded, with the next patches settled and the commits up to `tip`."""
        patches = self.series.patches[self.at :]
        more = tuple(SettledPatch(p.name, o) for p, o in zip(patches, outcomes, strict=False))
        settled = (*self.rebase.settled, *more)
        rebase = replace(self.rebase, tip=tip, settled=settled, stop=None)
        return replace(self, rebase=self.workspace.save(rebase))

    def stopped_at(self, stop: Stop) -> RebaseState:
        """The same, recorded, waiting for a person."""
        return replace(self, rebase=self.workspace.save(replace(self.rebase, stop=stop)))


def read_state(workspace: Workspace, rebase: Rebase) -> RebaseState:
    """The rebase with its series read and the revisions between found.

    Raises: ConflictError where the series it carries is not what it was at the start, or its
    overlay can't go there; InvalidError where it is not sound.
    """
    store, history = workspace.store, workspace.history
    source = store.base(rebase.source)
    series = store.series(source.name)
    digests = {name: locked.sha256 for name, locked in series.lock.patches.items()}
    if list(digests.items()) != list(rebase.patches.items()):
        raise ConflictError(
            f"the series of {source.name} is not what it was when the rebase began",
            remedy="put patches/ back as it was and go on; or --abort and begin again: "
            "resolutions are remembered",
        )
    if taken := sorted(history.entries(rebase.onto, series.overlay)):
        raise ConflictError(
            f"upstream has a file of its own where the overlay lays {taken[0]}",
            remedy="give the overlay's file another name in the patched tree, and export",
        )
    if not history.resolve(source.commit):
        raise ConflictError(
            f"upstream's history does not hold {source.commit[:12]}, the commit of {source.name}",
            remedy="correct the pin in vendor/upstream.toml",
        )
    contents = history.blobs(source.commit, series.lock.before)
    made = stages(series, series.lock.groups[-1], contents)[1:]
    before = []
    for stage in made:
        before.append(contents)
        contents = {**contents, **stage.files}
    revisions = track(history, source.commit, rebase.onto, list(series.lock.before))
    return RebaseState(workspace, rebase, source, series, tuple(before), made, revisions)


def next_fits(state: RebaseState, count: int | None = None) -> tuple[Fit, ...]:
    """How the next patches go on the commits so far."""
    history, paths = state.workspace.history, state.paths
    patches = state.series.patches[state.at :][:count]
    base = state.before[state.at]
    blobs = history.blob_ids([state.rebase.tip], list(paths.values()))[state.rebase.tip]
    texts = history.contents(blobs.values())
    tree = {path: texts[blobs[name]] for path, name in paths.items() if name in blobs}
    drift = line_diffs([(base[path], text) for path, text in tree.items()])
    return replay(patches, base, tree, dict(zip(tree, drift, strict=True)))


def unparsed(fit: Fit) -> tuple[str, ...]:
    """The files that a patch merges into without a clash, and that are no Python then."""
    return tuple(path for path, data in fit.files.items() if not parses(path, data))


def parses(path: str, data: bytes) -> bool:
    """Whether a file is Python, or need not be."""
    try:
        missing(path, data, ())
    except InvalidError:
        return not path.endswith(".py")
    return True
