"""Obtain upstream's history: one bare repository under vendor/ that maintainers' jobs read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ltx2_patcher.boundaries import disk, remote
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store

_REPOSITORY = "upstream.git"


def history(store: Store, *, refresh: bool = False) -> Objects:
    """Upstream's main branch with all its revisions; `refresh` asks upstream for newer ones.

    Raises: OutsideError where upstream does not answer.
    """
    place = store.vendor / _REPOSITORY
    if place.exists() and not refresh:
        return Objects(place)
    url = store.bases()[0].url
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


def kept_history(store: Store) -> Objects | None:
    """Upstream's history where it was brought before; nobody is asked for it."""
    place = store.vendor / _REPOSITORY
    return Objects(place) if place.exists() else None
