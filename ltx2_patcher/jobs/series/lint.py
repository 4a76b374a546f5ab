"""Check every series: each patch canonical, groups stacked, locks, overlay and files in step."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.series_file import SHARED, entries
from ltx2_patcher.rules.series.shared_patch import alike
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Series


@dataclass(frozen=True, slots=True)
class Linted:
    """A sound series."""

    base: str
    patches: int


@dataclass(frozen=True, slots=True)
class Alike:
    """A change that several bases have in files of their own, or in several shared ones."""

    patch: str
    bases: tuple[str, ...]


def lint(store: Store) -> tuple[Linted, ...]:
    """Check what can be checked without upstream.

    Raises: InvalidError with the first thing that is wrong.
    """
    every = _every(store)
    named = {place for series in every for place in _places(series)}
    for file in sorted(store.patches.glob("**/*.patch")):
        place = file.relative_to(store.patches).as_posix()
        if place not in named:
            raise InvalidError(
                f"patches/{place} is in no series",
                remedy="remove it; a patch is a commit of the patched tree first",
            )
    return tuple(Linted(series.base, len(series.patches)) for series in every)


def could_share(store: Store) -> tuple[Alike, ...]:
    """The patches that several bases have alike and could share; `export --in-place` does it."""
    every = _every(store)
    places = {
        series.base: dict(zip(series.lock.patches, _places(series), strict=True))
        for series in every
    }
    return tuple(
        Alike(name, bases)
        for name, groups in alike(every).items()
        for bases in groups
        if len({places[base][name] for base in bases}) > 1
    )


def _every(store: Store) -> list[Series]:
    return [store.series(base.name) for base in store.bases()]


def _places(series: Series) -> list[str]:
    """Where each patch lies, below patches/."""
    return [
        entry if entry.startswith(f"{SHARED}/") else f"{series.base}/{entry}"
        for entry in entries(series.lock)
    ]
