"""A rebase with all that it works on: the series, its contents on both sides, and the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.jobs.series.rebase.revisions import Stop, route
from ltx2_patcher.jobs.series.rebase.workspace import Workbench
from ltx2_patcher.rules.series.plan import Stage, stages
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.rules.series.three_way import Fit, replay
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.rebasing import Halt, Outcome, Rebase, Settled
from ltx2_patcher.values.series import Patch, Series


@dataclass(frozen=True, slots=True)
class Course:
    """A rebase with all that it works on."""

    bench: Workbench
    rebase: Rebase
    source: Base
    series: Series
    before: tuple[Mapping[str, bytes], ...]  # the touched files before each patch, at the source
    made: tuple[Stage, ...]  # each patch and what it makes there
    stops: tuple[Stop, ...]

    @property
    def at(self) -> int:
        """How many patches are settled."""
        return len(self.rebase.settled)

    @property
    def patch(self) -> Patch:
        """The next one."""
        return self.series.patches[self.at]

    @property
    def waits(self) -> bool:
        """Whether it waits for a person, who was given a worktree that is still there."""
        halt = self.rebase.halt
        return bool(halt and halt.laid and self.bench.worktree())

    def settled_as(self, outcomes: Sequence[Outcome], tip: str) -> Course:
        """The same, recorded, with the next patches settled and the commits up to `tip`."""
        patches = self.series.patches[self.at :]
        done = tuple(Settled(p.name, o) for p, o in zip(patches, outcomes, strict=False))
        settled = (*self.rebase.settled, *done)
        rebase = replace(self.rebase, tip=tip, settled=settled, halt=None)
        return replace(self, rebase=self.bench.save(rebase))

    def halted(self, halt: Halt) -> Course:
        """The same, recorded, waiting for a person."""
        return replace(self, rebase=self.bench.save(replace(self.rebase, halt=halt)))


def read_course(bench: Workbench, rebase: Rebase) -> Course:
    """The rebase with its series read and its way found.

    Raises: ConflictError where the series it carries is not what it was at the start, or its
    overlay can't be laid there; InvalidError where it is not sound.
    """
    store, history = bench.store, bench.history
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
    now = history.blobs(source.commit, series.lock.before)
    made = stages(series, series.lock.groups[-1], now)[1:]
    before = []
    for stage in made:
        before.append(now)
        now = {**now, **stage.files}
    stops = route(history, source.commit, rebase.onto, list(series.lock.before))
    return Course(bench, rebase, source, series, tuple(before), made, stops)


def next_fits(course: Course, count: int | None = None) -> tuple[Fit, ...]:
    """How the next patches go on the commits so far."""
    history, paths = course.bench.history, course.stops[-1].paths
    patches = course.series.patches[course.at :][:count]
    base = course.before[course.at]
    blobs = history.blob_ids([course.rebase.tip], list(paths.values()))[course.rebase.tip]
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
