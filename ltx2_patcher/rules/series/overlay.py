"""Which of the overlay's files a series takes: all but those of groups that it lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from ltx2_patcher.values.base import OWNED

Content = TypeVar("Content")


def of_groups(overlay: Mapping[str, Content], groups: Collection[str]) -> dict[str, Content]:
    """Keep the files that no optional group owns, or one of `groups`."""
    left_out = frozenset[str]().union(*(OWNED[group] for group in OWNED.keys() - set(groups)))
    return {path: held for path, held in overlay.items() if left_out.isdisjoint(path.split("/"))}
