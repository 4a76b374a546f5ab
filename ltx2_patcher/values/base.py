"""An upstream revision that a series is written against, and the groups of a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltx2_patcher.values.abilities import Ability

GROUPS = ("gemma-quant", "ampere", "lean", "portable", "parked", "int8")
"""Stacked in this order: one may stop after a group, not leave out the middle."""
OPTIONAL = GROUPS[GROUPS.index("portable") + 1 :]
"""What a base may lack, and a revision goes without where it does not fit."""
OWNED: Mapping[str, frozenset[str]] = {
    "parked": frozenset({"parked"}),
    "int8": frozenset({"int8", "weight_files", "convert.py", "compile_cache.py"}),
}
"""Names of folders and scripts of the overlay that an optional group alone lays in."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A published wheel that holds one upstream package of a base."""

    distribution: str  # "ltx-core"
    version: str
    sha256: str

    @property
    def package(self) -> str:
        """The import package, "ltx_core"."""
        return self.distribution.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Base:
    """An upstream revision that a series is written against."""

    name: str
    url: str
    commit: str  # 40 lower-case hex digits
    date: str  # yyyy-mm-dd, upstream's
    wheels: tuple[Wheel, ...]  # empty where upstream published none
    loads: tuple[str, ...]  # the model families it can run: "LTX-2.3 22B"
    environment: Mapping[str, str]  # distribution -> pinned version
    accepts: Mapping[str, str]  # distribution -> versions that work too: ">=4.52,<5"
    abilities: frozenset[Ability] = frozenset()  # beside what its scripts' options tell
    lacks: frozenset[Ability] = frozenset()  # of those that the series gives the other bases
