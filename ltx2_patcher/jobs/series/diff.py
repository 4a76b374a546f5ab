"""Compare our change on one base with that on another, for review; needs no upstream."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.series_diff import Pair, compare_patches
from ltx2_patcher.values.base import Base


@dataclass(frozen=True, slots=True)
class Compared:
    """Two series, patch by patch."""

    one: str
    other: str
    pairs: tuple[Pair, ...]


def compare(store: Store, one: Base, other: Base, *, everything: bool = False) -> Compared:
    """Pair the patches of two bases by name and tell what differs in what they do.

    With `everything` also context, indentation and messages count.

    Raises: InvalidError where one of the series is not sound.
    """
    first, second = (store.series(base.name).patches for base in (one, other))
    return Compared(one.name, other.name, compare_patches(first, second, everything=everything))
