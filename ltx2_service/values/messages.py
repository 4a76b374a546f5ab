"""What the API and a worker say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_service.values.assignment import Assignment
from ltx2_service.values.told import Ended, Progress


@dataclass(frozen=True, slots=True)
class Assign:
    """Make an attempt."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Cancel:
    """End an attempt at its next point."""

    job: str
    token: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of an attempt stands in the store."""

    job: str
    token: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End once nothing is in hand."""


Ask = Assign | Cancel | Settled | Stop


@dataclass(frozen=True, slots=True)
class Standing:
    """How the worker is: its first word on each connection, and then every few seconds."""

    code: str  # digest of the code that it runs
    state: str  # "starting", "idle", "running", "stopping"
    job: str | None  # in hand
    token: int
    base: str | None  # of the renderer that is up
    warm: tuple[str, ...]  # models that it made clips of


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an attempt is."""

    job: str
    token: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Over:
    """How an attempt ended; in the spool it is what a file holds."""

    job: str
    token: int
    worker: str
    ended: Ended


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt was not taken in hand."""

    job: str
    token: int
    why: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another API has connected, and is the one that is obeyed from now on."""


Tell = Standing | Reached | Over | Refused | Superseded
