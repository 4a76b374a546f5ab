"""The series for a tree that is no base: the one that supports its revision, merged three ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.boundaries import git, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series import history as upstream
from ltx2_patcher.jobs.series.matrix import lay_all
from ltx2_patcher.rules.series.drift import Laid, lock_on, nearest, reasons, supporting
from ltx2_patcher.values.errors import ConflictError, PatcherError
from ltx2_patcher.values.series import Lock, Series

_SHOWN = 5
"""Breaking hunks that a refusal lists; `ltx2-patcher matrix` shows all."""


@dataclass(frozen=True, slots=True)
class Support:
    """A series on a revision that is no base."""

    series: Series  # its lock holds the content ids of that revision
    laid: Laid
    tree: Mapping[str, bytes]  # the files that the series goes into


def find_support(store: Store, repository: git.Git, start: str, pinned: Sequence[Lock]) -> Support:
    """The series, among those with the locks `pinned`, that supports the commit `start`.

    Contents of the bases that the clone lacks come from upstream's history.

    Raises: ConflictError where none does, with what breaks the nearest, or where contents can't
    be had.
    """
    every = [store.series(lock.base, lock) for lock in pinned]
    entries = repository.entries(start, {path for lock in pinned for path in lock.paths})
    # A link or an executable is nothing that a patch goes into, but it is in the overlay's way.
    found = {
        path: entry.blob
        for path, entry in entries.items()
        if entry.mode == objects.PLAIN or any(path in series.overlay for series in every)
    }
    touched = sorted({path for lock in pinned for path in lock.before})
    if not any(path in found for path in touched):
        raise ConflictError(
            f"{repository.tree} is no LTX-2 at {start[:12]}: it has neither {touched[0]} nor any "
            "other plain file that a patch goes into",
            remedy="name a clone of upstream with --tree",
        )
    texts = _contents(store, repository, pinned, found)
    (laid,) = lay_all(every, [found], texts)
    best = supporting(laid.values())
    if best is None:
        raise _unsupported(repository, start, pinned, nearest(laid.values()))
    series = next(one for one in every if one.base == best.base)
    tree = {path: texts[found[path]] for path in series.lock.before if path in found}
    return Support(replace(series, lock=lock_on(series, best, start, tree)), best, tree)


def _contents(
    store: Store, repository: git.Git, pinned: Sequence[Lock], found: Mapping[str, str]
) -> dict[str, bytes]:
    """The contents of the tree's files and of the bases'."""
    before = {blob for lock in pinned for path, blob in lock.before.items()}
    lacking = set(repository.lacking(before))
    touched = {path for lock in pinned for path in lock.before}
    here = [blob for path, blob in found.items() if path in touched]
    texts = repository.contents([*here, *sorted(before - lacking)])
    if not lacking:
        return texts
    try:
        return texts | upstream.contents(store, sorted(lacking))
    except PatcherError as error:
        raise ConflictError(
            f"{repository.tree} lacks {len(lacking)} files of the bases, which merging three ways "
            f"needs, and {error}",
            remedy="run again where upstream can be reached; or complete a shallow or partial "
            f"clone with `git -C {repository.tree} fetch --unshallow` or "
            "`--refetch --no-filter`",
        ) from error


def _unsupported(
    repository: git.Git, start: str, pinned: Sequence[Lock], laid: Laid
) -> ConflictError:
    where = f"{repository.tree} is at {start[:12]}, which"
    lock = next(one for one in pinned if one.base == laid.base)
    remedy = (
        f"check out a revision that is supported, such as upstream's {lock.commit[:12]} "
        "(`ltx2-patcher matrix` tells which base supports which), or leave --tree (TREE) out to "
        "patch a fresh checkout"
    )
    why = reasons(laid)
    more = [f"and {len(why) - _SHOWN} more"] if len(why) > _SHOWN else []
    return ConflictError(
        f"{where} is not LTX-2 {laid.base} where the patches go, and "
        + ("its series does not support it" if len(pinned) == 1 else "no series supports it")
        + ":\n  "
        + "\n  ".join([*why[:_SHOWN], *more]),
        remedy=remedy,
    )
