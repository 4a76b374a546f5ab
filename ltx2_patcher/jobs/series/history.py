"""Obtain upstream's history: one bare repository under vendor/ that maintainers' jobs read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries import disk, remote
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.errors import ConflictError

_REPOSITORY = "upstream.git"


def history(store: Store, *, refresh: bool = False) -> Objects:
    """Upstream's main branch with all its revisions, its releases and tags; `refresh` asks upstream
    for newer ones.

    One that lacks a base's commit is older than the series here, and is refreshed anyhow.

    Raises: OutsideError where upstream does not answer, ConflictError where what is kept is
    damaged.
    """
    place, bases = store.vendor / _REPOSITORY, store.bases()
    if place.exists() and not refresh and not _lacking(place, [base.commit for base in bases]):
        return Objects(place)
    url = bases[0].url
    with disk.locked(store.vendor / ".lock"):
        if place.exists():
            remote.fetch_history(place, url)
            return Objects(place)
        for left in store.vendor.glob(f".{_REPOSITORY}.*"):  # by runs that were cut off
            shutil.rmtree(left, ignore_errors=True)
        with disk.translated(store.vendor):
            partial = Path(tempfile.mkdtemp(prefix=f".{_REPOSITORY}.", dir=store.vendor))
        try:
            remote.fetch_history(partial, url)
            with disk.translated(place):
                partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Objects(place)


def history_with(store: Store, refs: Sequence[str]) -> Objects:
    """The same, with what upstream has of these names of commits; asked for where one is unknown.

    Raises: as `history`.
    """
    past = history(store)
    return past if all(map(past.resolve, refs)) else history(store, refresh=True)


def _lacking(place: Path, commits: Sequence[str]) -> list[str]:
    try:
        return Objects(place).lacking(commits)
    except ConflictError as error:
        raise ConflictError(
            f"upstream's history is damaged: {error}",
            remedy=f"remove {place} and run again: it is fetched anew",
        ) from error


def contents(store: Store, blobs: Sequence[str]) -> dict[str, bytes]:
    """The content of each blob of upstream's history, asked for again where it lacks one.

    Raises: OutsideError where upstream does not answer, ConflictError where it has no such blob.
    """
    past = history(store)
    if past.lacking(blobs):
        past = history(store, refresh=True)
    return past.contents(blobs)


def kept_history(store: Store) -> Objects | None:
    """Upstream's history where it was brought before; nobody is asked for it."""
    place = store.vendor / _REPOSITORY
    return Objects(place) if place.exists() else None
