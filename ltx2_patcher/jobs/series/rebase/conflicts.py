"""Why a patch stops on the way to another revision: what upstream did there, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import PLAIN, Objects, Revision
from ltx2_patcher.jobs.series.rebase.revisions import Stop
from ltx2_patcher.rules.series.diff_text import changed_text, hunk_text
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.moved_code import Place, whereabouts
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.three_way import Breach, Fit, How, replay
from ltx2_patcher.values.series import Patch, Series


@dataclass(frozen=True, slots=True)
class Trouble:
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


def troubles(
    history: Objects, series: Series, fit: Fit, stops: Sequence[Stop], tip: str
) -> tuple[Trouble, ...]:
    """What stands in the way of each hunk of `fit`, which is judged on top of `tip`."""
    judged = _along(history, series.patches, fit.patch, stops)
    sources: dict[str, dict[str, bytes]] = {}
    revisions: dict[str, Revision] = {}
    found = []
    for breach in fit.breaches:
        first = next(
            (
                (stop, same)
                for stop, past in judged
                if (same := _same(past, breach)) and past.how is How.MISFIT
            ),
            None,
        )
        stop, seen = first or (None, breach)
        there = stop.commit if stop else tip
        if there not in sources:
            sources[there] = _sources(history, there)
        if stop and stop.by not in revisions:
            revisions[stop.by] = _revision(history, stop.by)
        clash = seen.clash or breach.clash
        names = [stop.paths[breach.path] for stop in stops if breach.path in stop.paths]
        found.append(
            Trouble(
                path=names[-1],
                gone=breach.clash is None,
                ours=hunk_text(breach.hunk),
                by=revisions[stop.by] if stop else None,
                upstream=changed_text(clash.base, clash.theirs) if clash else (),
                elsewhere=_elsewhere(breach, stop, sources[there]),
            )
        )
    return tuple(found)


def landing(
    history: Objects, series: Series, patch: Patch, stops: Sequence[Stop], tip: str
) -> Landing:
    """Since when, and where, upstream has what `patch` does."""
    judged = _along(history, series.patches, patch, stops)
    first = next((stop for stop, past in judged if past.how is How.LANDED), None)
    paths = stops[-1].paths
    texts = history.blobs(tip, [paths[diff.path] for diff in patch.diffs])
    places: dict[Place, None] = {}  # several hunks may have gone to one
    for diff in patch.diffs:
        path = paths[diff.path]
        for hunk in diff.hunks:
            added = [line for edit in hunk.edits for line in edit.new] or list(hunk.new)
            if place := whereabouts(added, {path: texts[path]}):
                places[place] = None
    return Landing(_revision(history, first.by) if first else None, tuple(places))


def _along(
    history: Objects, patches: Sequence[Patch], last: Patch, stops: Sequence[Stop]
) -> list[tuple[Stop, Fit]]:
    """How `last` fits at each revision after the first, on what goes in of those before it."""
    paths = [diff.path for diff in last.diffs]
    narrowed = []
    for patch in patches[: patches.index(last) + 1]:
        diffs = tuple(diff for diff in patch.diffs if diff.path in paths)
        if diffs:
            narrowed.append(replace(patch, diffs=diffs))
    names = sorted({stop.paths[path] for stop in stops for path in paths if path in stop.paths})
    blobs = history.blob_ids([stop.commit for stop in stops], names)
    texts = history.contents(blob for there in blobs.values() for blob in there.values())

    def contents(stop: Stop) -> dict[str, bytes]:
        here = {path: stop.paths[path] for path in paths if path in stop.paths}
        return {path: texts[blobs[stop.commit][name]] for path, name in here.items()}

    base, trees = contents(stops[0]), [contents(stop) for stop in stops[1:]]
    drift = iter(line_diffs([(base[path], text) for tree in trees for path, text in tree.items()]))
    fits = []
    for stop, tree in zip(stops[1:], trees, strict=True):
        edits = {path: next(drift) for path in tree}
        fits.append((stop, replay(narrowed, base, tree, edits)[-1]))
    return fits


def _same(fit: Fit, breach: Breach) -> Breach | None:
    mine = (breach.path, breach.hunk)
    return next((other for other in fit.breaches if (other.path, other.hunk) == mine), None)


def _elsewhere(breach: Breach, stop: Stop | None, sources: Mapping[str, bytes]) -> Place | None:
    """Another place of the code around a hunk, where its own file has lost most of it."""
    path = stop.paths.get(breach.path) if stop else None
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
