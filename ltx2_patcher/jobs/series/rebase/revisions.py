"""The revisions of upstream between two, and where files lie in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ltx2_patcher.boundaries.objects import Objects


@dataclass(frozen=True, slots=True)
class TrackedRevision:
    """A revision of upstream, with files followed to it from the first."""

    commit: str
    by: str  # the commit that made it of the one before; going back, the one that is undone
    paths: Mapping[str, str]  # path at the start -> path here; none where the file is gone


def track(
    history: Objects, start: str, end: str, paths: Sequence[str]
) -> tuple[TrackedRevision, ...]:
    """The first-parent revisions from `start` to `end`, either way, both included.

    Where neither is an ancestor of the other, only those two. Files are followed through renames,
    revision by revision: a file that is rewritten a little each time is still known at the end.
    """
    commits = _commits(history, start, end)
    back = len(commits) > 1 and history.is_ancestor(end, start)
    blobs = history.blob_ids(commits, paths)
    at = {path: path for path in paths if path in blobs[start]}
    tracked = [TrackedRevision(start, start, dict(at))]
    for old, new in pairwise(commits):
        there = blobs[new].keys() | history.blob_ids([new], list(at.values()))[new].keys()
        moved = history.renames(old, new) if set(at.values()) - there else {}
        steps = {path: here if here in there else moved.get(here) for path, here in at.items()}
        at = {path: here for path, here in steps.items() if here is not None}
        at |= {path: path for path in paths if path not in at and path in there}
        tracked.append(TrackedRevision(new, old if back else new, dict(at)))
    return tuple(tracked)


def _commits(history: Objects, start: str, end: str) -> list[str]:
    if start == end:
        return [start]
    if history.is_ancestor(start, end):
        chain = [revision.commit for revision in history.revisions([f"{start}..{end}"])]
        return [start, *reversed(chain)]
    if history.is_ancestor(end, start):
        chain = [revision.commit for revision in history.revisions([f"{end}..{start}"])]
        return [*chain, end]
    return [start, end]
