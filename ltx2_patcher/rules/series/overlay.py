"""Which of the overlay's files a series takes: all but those of groups that it lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from ltx2_patcher.values.base import OPTIONAL

Content = TypeVar("Content")


def of_groups(overlay: Mapping[str, Content], groups: Collection[str]) -> dict[str, Content]:
    """Keep the files that lie in no folder named for an optional group, or for one of `groups`."""
    left_out = set(OPTIONAL) - set(groups)
    return {path: held for path, held in overlay.items() if left_out.isdisjoint(path.split("/"))}
