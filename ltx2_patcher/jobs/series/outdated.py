"""Tell once of each revision that upstream published after the newest base."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import Objects, Revision
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.history import history
from ltx2_patcher.jobs.series.matrix import Row, matrix
from ltx2_patcher.rules.series.drift import near
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Edit, Series

_STATE = "outdated.json"
"""In vendor/, which git ignores: what this machine has reported."""


@dataclass(frozen=True, slots=True)
class Drifted:
    """A file that we touch, and what a revision made of the base's."""

    path: str
    added: int  # lines
    removed: int
    gone: bool
    moved: str | None  # where upstream keeps it now, as git's similarity finds it
    near: tuple[Edit, ...]  # those of upstream's edits that lie at a hunk of ours


@dataclass(frozen=True, slots=True)
class News:
    """A revision that was not reported before."""

    row: Row  # every series on it
    files: tuple[Drifted, ...]  # that differ from the newest base's


@dataclass(frozen=True, slots=True)
class Outdated:
    """Where the newest base stands against upstream."""

    base: Base
    fresh: tuple[News, ...]  # newest first
    reported: tuple[Revision, ...]  # newer than the base too, and told by a run before


def outdated(store: Store) -> Outdated:
    """Ask upstream for revisions newer than the newest base.

    Each is recorded as reported before this returns, so no two runs report the same.

    Raises: OutsideError where upstream does not answer, InvalidError for a series or a record that
    is not sound, BusyError where another run is at it.
    """
    past = history(store, refresh=True)
    with disk.locked(store.vendor / ".outdated.lock"):
        known = _reported(store)
        revisions = past.revisions(["main"])
        base, newer = _newer(store.bases(), revisions)
        fresh = [revision.commit for revision in newer if revision.commit not in known]
        rows = matrix(store, past, fresh).rows if fresh else ()
        files = _drifted(store.series(base.name), past, fresh)
        if fresh:
            kept = json.dumps({"reported": [*fresh, *known]}, indent=1)
            disk.replace(store.vendor / _STATE, kept.encode() + b"\n", durable=True)
    return Outdated(
        base,
        tuple(News(row, files[row.revision.commit]) for row in rows),
        tuple(revision for revision in newer if revision.commit in known),
    )


def _newer(
    bases: Sequence[Base], revisions: Sequence[Revision]
) -> tuple[Base, tuple[Revision, ...]]:
    """The newest base, and the revisions after it, newest first."""
    pins = {base.commit: base for base in bases}
    newer = tuple(takewhile(lambda revision: revision.commit not in pins, revisions))
    if len(newer) == len(revisions):
        raise InvalidError(
            "no base lies in the history of upstream's main branch",
            remedy="correct the pins in vendor/upstream.toml, or remove vendor/upstream.git",
        )
    return pins[revisions[len(newer)].commit], newer


def _drifted(
    series: Series, past: Objects, commits: Sequence[str]
) -> Mapping[str, tuple[Drifted, ...]]:
    """For each commit, the files of the series that it changed."""
    before = series.lock.before
    there = past.blob_ids(commits, list(before))
    texts = past.contents(
        [*before.values(), *(blob for found in there.values() for blob in found.values())]
    )
    base = {path: texts[blob] for path, blob in before.items()}
    patched = {path: base[path] for path in base}
    for stage in stages(series, series.lock.groups[-1], base):
        patched |= {path: data for path, data in stage.files.items() if path in base}
    changed = [
        (commit, path)
        for commit in commits
        for path, blob in before.items()
        if there[commit].get(path) != blob
    ]
    ours = [(base[path], patched[path]) for path in before]
    theirs = [(base[path], texts.get(there[c].get(path, ""), b"")) for c, path in changed]
    edits = line_diffs([*ours, *theirs])
    own = dict(zip(before, edits, strict=False))
    moved = {
        commit: past.renames(series.lock.commit, commit)
        for commit in commits
        if not before.keys() <= there[commit].keys()
    }
    found: dict[str, list[Drifted]] = {commit: [] for commit in commits}
    for (commit, path), drift in zip(changed, edits[len(ours) :], strict=True):
        gone = path not in there[commit]
        found[commit].append(
            Drifted(
                path,
                sum(len(edit.new) for edit in drift),
                sum(len(edit.old) for edit in drift),
                gone,
                moved[commit].get(path) if gone else None,
                () if gone else near(own[path], drift),
            )
        )
    return {commit: tuple(files) for commit, files in found.items()}


def _reported(store: Store) -> list[str]:
    path = store.vendor / _STATE
    data = disk.read(path)
    try:
        return [str(commit) for commit in json.loads(data)["reported"]] if data else []
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError(
            f"{path} is not a record of reports: {error!r}",
            remedy="remove it; every newer revision is then reported once more",
        ) from error
