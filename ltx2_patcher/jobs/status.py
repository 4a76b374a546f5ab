"""How a working tree stands against the series, told by content; starts no process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.obtain import source_of
from ltx2_patcher.rules.standing import judge
from ltx2_patcher.values.model import Base, Judgement, Lock, Standing


@dataclass(frozen=True, slots=True)
class Status:
    """How a tree or an environment stands, told by content."""

    base: str
    place: str
    source: str
    judgement: Judgement
    patches: tuple[str, ...]  # that are in
    cut_off: bool  # a run was cut off; the next apply or unapply finishes it


def tree_status(store: Store, tree: Path, base: Base | None) -> Status:
    """Compare a tree with each base's lock, or with that of `base`.

    Raises: ConflictError where `tree` holds no upstream at all.
    """
    state = git.git_directory(tree) / objects.STATE_FOLDER
    locks = [store.lock(b.name) for b in ([base] if base else store.bases())]
    judged = [(lock, judge(lock, disk.blob_ids(tree, lock.paths))) for lock in locks]
    lock, judgement = min(judged, key=lambda pair: (_RANK[pair[1].standing], _misses(pair[1])))
    return Status(
        base=lock.base,
        place=str(tree),
        source=source_of(tree),
        judgement=judgement,
        patches=names_upto(lock, judgement.group),
        cut_off=journal.pending(state),
    )


def names_upto(lock: Lock, group: str | None) -> tuple[str, ...]:
    """The patches that are in a tree that stands at the end of `group`."""
    groups = lock.groups[: lock.groups.index(group) + 1] if group else ()
    return tuple(name for name, patch in lock.patches.items() if patch.group in groups)


_RANK = {
    Standing.PATCHED: 0,
    Standing.UPSTREAM: 0,
    Standing.EDITED: 1,
    Standing.MISSING: 2,
}


def _misses(judgement: Judgement) -> int:
    return len(judgement.differing)
