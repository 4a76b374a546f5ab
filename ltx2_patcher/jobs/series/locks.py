"""The locks that a tree may stand against: each base's, and one of the tree's own revision.

A tree at a revision that is no base gets a lock of its own when a series is laid on it: same
patches, but the content ids of that revision. It lies in our state folder of that tree, can be made
again at any time, and counts only while the series is the one that it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.lock_file import parse_lock, render_lock
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Judgement, Lock, Standing

_OWN = "lock.json"


def locks(store: Store, bases: Iterable[Base], state: Path) -> tuple[Lock, ...]:
    """The tree's own lock, where one counts, and then those of `bases`.

    Raises: InvalidError where a base's is not what lies in patches/.
    """
    pinned = {base.name: store.lock(base.name) for base in bases}
    own = _own(state)
    if own is None or own.base not in pinned or not _same_series(own, pinned[own.base]):
        return tuple(pinned.values())
    return (own, *pinned.values())


def closest(candidates: Sequence[Lock], tree: Path) -> tuple[Lock, Judgement]:
    """The lock that the files of `tree` come nearest to."""
    found = disk.blob_ids(tree, {path: None for lock in candidates for path in lock.paths})
    judged = [(lock, judge(lock, found)) for lock in candidates]
    return min(judged, key=lambda pair: (_RANK[pair[1].standing], len(pair[1].differing)))


def keep(state: Path, lock: Lock) -> None:
    """Make `lock` the tree's own. It binds nothing by itself: trees are told by content."""
    disk.replace(state / _OWN, render_lock(lock))


def forget(state: Path) -> None:
    """The tree has no lock of its own."""
    with disk.translated(state):
        (state / _OWN).unlink(missing_ok=True)


def _own(state: Path) -> Lock | None:
    data = disk.read(state / _OWN)
    if data is None:
        return None
    try:
        return parse_lock(data, str(state / _OWN))
    except InvalidError:
        return None  # a torn one is made again


def _same_series(own: Lock, pinned: Lock) -> bool:
    """Whether both are of the same patches, wherever these lie, and of the same overlay."""
    digests = [{n: (p.sha256, p.group) for n, p in lock.patches.items()} for lock in (own, pinned)]
    return digests[0] == digests[1] and own.overlay == pinned.overlay


_RANK = {
    Standing.PATCHED: 0,
    Standing.UPSTREAM: 0,
    Standing.EDITED: 1,
    Standing.MISSING: 2,
}
