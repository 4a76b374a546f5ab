"""How a working tree stands against the series, told by content; starts no process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.locks import closest, locks
from ltx2_patcher.jobs.series.obtain import source_of
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.series import Judgement, Lock


@dataclass(frozen=True, slots=True)
class Status:
    """How a tree or an environment stands, told by content."""

    base: str
    place: str
    source: str
    judgement: Judgement
    patches: tuple[str, ...]  # that are in
    cut_off: bool  # a run was cut off; the next apply or unapply finishes it
    revision: str | None = None  # the commit that the series is on, where that is not its base


def tree_status(store: Store, tree: Path, base: Base | None) -> Status:
    """Compare a tree with its own lock and each base's, or with those of `base`.

    Raises: ConflictError where `tree` holds no upstream at all.
    """
    state = git.git_directory(tree) / objects.STATE_FOLDER
    lock, judgement = closest(locks(store, [base] if base else store.bases(), state), tree)
    return Status(
        base=lock.base,
        place=str(tree),
        source=source_of(tree),
        judgement=judgement,
        patches=names_upto(lock, judgement.group),
        cut_off=journal.pending(state),
        revision=None if lock.commit == store.base(lock.base).commit else lock.commit,
    )


def names_upto(lock: Lock, group: str | None) -> tuple[str, ...]:
    """The patches that are in a tree that stands at the end of `group`."""
    groups = lock.groups[: lock.groups.index(group) + 1] if group else ()
    return tuple(name for name, patch in lock.patches.items() if patch.group in groups)
