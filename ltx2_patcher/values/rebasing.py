"""A rebase under way: which series goes where, how far it is, and why it waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What became of a patch on the new revision."""

    STRICT = "strict"
    THREE_WAY = "3-way"
    BY_HAND = "by hand"
    RETIRED = "retired"  # it landed upstream, and a person left it out
    LEFT_OUT = "left out"


class StopReason(Enum):
    """Why a rebase waits for a person."""

    CONFLICT = "conflict"
    LANDED = "landed"  # what the patch does is there already
    SYMBOLS = "symbols"  # something that symbols.toml promises is not there


@dataclass(frozen=True, slots=True)
class SettledPatch:
    """A patch that is done with."""

    patch: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a rebase waits for a person."""

    reason: StopReason
    tree: str | None  # id of the worktree's files as it was left to them; None until it is
    reused: tuple[str, ...] = ()  # paths settled by a remembered resolution, to be looked at


@dataclass(frozen=True, slots=True)
class Rebase:
    """All that must outlive the process. The patch at `len(settled)` is the next one."""

    name: str  # of the base that is to be
    source: str  # the base that it comes from
    patches: Mapping[str, str]  # name -> sha256, of the source as it was at the start
    onto: str  # upstream's commit
    date: str  # yyyy-mm-dd, of that commit
    tip: str  # the commits so far, on `onto`
    settled: tuple[SettledPatch, ...] = ()
    stop: Stop | None = None

    @property
    def left(self) -> tuple[str, ...]:
        """The patches not yet settled, in order."""
        return tuple(self.patches)[len(self.settled) :]
