"""Why a patch stops on the way to another revision: what upstream did there, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import PLAIN, Objects, Revision
from ltx2_patcher.jobs.series.rebase.revisions import TrackedRevision
from ltx2_patcher.rules.series.diff_text import changed_text, hunk_text
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.moved_code import Place, whereabouts
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.three_way import Breach, Fit, How, replay
from ltx2_patcher.values.series import Patch, Series


@dataclass(frozen=True, slots=True)
class Conflict:
    """A hunk that does not go in."""

    path: str  # there; where the file is gone, the last path it had
    gone: bool
    ours: tuple[str, ...]  # the hunk, as in a diff
    by: Revision | None  # in which the clash first appears; None: an earlier patch was settled so
    upstream: tuple[str, ...]  # what was made of that place, as a diff; empty where it is gone
    elsewhere: Place | None  # where code that is not in its file any more stands, as of `by`


@dataclass(frozen=True, slots=True)
class Landing:
    """A patch whose effect upstream has already."""

    by: Revision | None  # in which it first is there
    places: tuple[Place, ...]  # where the names stand that its hunks would put


def conflicts(
    history: Objects, series: Series, fit: Fit, revisions: Sequence[TrackedRevision], tip: str
) -> tuple[Conflict, ...]:
    """What stands in the way of each hunk of `fit`, which is judged on top of `tip`."""
    fits = _fits_on(history, series.patches, fit.patch, revisions)
    sources: dict[str, dict[str, bytes]] = {}
    upstream: dict[str, Revision] = {}
    every = []
    for breach in fit.breaches:
        first = next(
            (
                (revision, same)
                for revision, past in fits
                if (same := _same(past, breach)) and past.how is How.MISFIT
            ),
            None,
        )
        revision, seen = first or (None, breach)
        commit = revision.commit if revision else tip
        if commit not in sources:
            sources[commit] = _sources(history, commit)
        if revision and revision.by not in upstream:
            upstream[revision.by] = _revision(history, revision.by)
        clash = seen.clash or breach.clash
        names = [one.paths[breach.path] for one in revisions if breach.path in one.paths]
        every.append(
            Conflict(
                path=names[-1],
                gone=breach.clash is None,
                ours=hunk_text(breach.hunk),
                by=upstream[revision.by] if revision else None,
                upstream=changed_text(clash.base, clash.theirs) if clash else (),
                elsewhere=_elsewhere(breach, revision, sources[commit]),
            )
        )
    return tuple(every)


def landing(
    history: Objects, series: Series, patch: Patch, revisions: Sequence[TrackedRevision], tip: str
) -> Landing:
    """Since when, and where, upstream has what `patch` does."""
    fits = _fits_on(history, series.patches, patch, revisions)
    first = next((revision for revision, past in fits if past.how is How.LANDED), None)
    paths = revisions[-1].paths
    texts = history.blobs(tip, [paths[diff.path] for diff in patch.diffs])
    places: dict[Place, None] = {}  # several hunks may have gone to one
    for diff in patch.diffs:
        path = paths[diff.path]
        for hunk in diff.hunks:
            added = [line for edit in hunk.edits for line in edit.new] or list(hunk.new)
            if place := whereabouts(added, {path: texts[path]}):
                places[place] = None
    return Landing(_revision(history, first.by) if first else None, tuple(places))


def _fits_on(
    history: Objects, patches: Sequence[Patch], last: Patch, revisions: Sequence[TrackedRevision]
) -> list[tuple[TrackedRevision, Fit]]:
    """How `last` fits at each revision after the first, on what goes in of those before it."""
    paths = [diff.path for diff in last.diffs]
    narrowed = []
    for patch in patches[: patches.index(last) + 1]:
        diffs = tuple(diff for diff in patch.diffs if diff.path in paths)
        if diffs:
            narrowed.append(replace(patch, diffs=diffs))
    names = sorted({one.paths[path] for one in revisions for path in paths if path in one.paths})
    blobs = history.blob_ids([one.commit for one in revisions], names)
    texts = history.contents(blob for there in blobs.values() for blob in there.values())

    def contents(revision: TrackedRevision) -> dict[str, bytes]:
        here = {path: revision.paths[path] for path in paths if path in revision.paths}
        return {path: texts[blobs[revision.commit][name]] for path, name in here.items()}

    base, trees = contents(revisions[0]), [contents(one) for one in revisions[1:]]
    drift = iter(line_diffs([(base[path], text) for tree in trees for path, text in tree.items()]))
    fits = []
    for revision, tree in zip(revisions[1:], trees, strict=True):
        edits = {path: next(drift) for path in tree}
        fits.append((revision, replay(narrowed, base, tree, edits)[-1]))
    return fits


def _same(fit: Fit, breach: Breach) -> Breach | None:
    mine = (breach.path, breach.hunk)
    return next((other for other in fit.breaches if (other.path, other.hunk) == mine), None)


def _elsewhere(
    breach: Breach, revision: TrackedRevision | None, sources: Mapping[str, bytes]
) -> Place | None:
    """Another place of the code around a hunk, where its own file has lost most of it."""
    path = revision.paths.get(breach.path) if revision else None
    left = set(split_lines(sources[path])) if path else set()
    lines = [line for line in breach.hunk.old if line.strip()]
    if path and sum(line in left for line in lines) * 2 >= len(lines):
        return None
    return whereabouts(breach.hunk.old, sources)


def _sources(history: Objects, commit: str) -> dict[str, bytes]:
    entries = history.entries(commit, ["packages"])
    paths = {p: e.blob for p, e in entries.items() if e.mode == PLAIN and is_source(p)}
    texts = history.contents(blob for path, blob in paths.items() if path.endswith(".py"))
    return {path: texts[blob] for path, blob in paths.items() if blob in texts}


def _revision(history: Objects, commit: str) -> Revision:
    return history.revisions([commit], walk=False)[0]
