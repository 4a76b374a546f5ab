"""What the service, the process that drives a cluster and the actors there say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_service.values.messages import Assign, Cancel, Over, Reached, Settled
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card

Attempt = tuple[str, int]
"""A job and a token."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The first word to a driver."""

    settings: Settings
    code: str  # digest of the code that actors are started with now
    number: int  # of the last `To` that an earlier driver was given


@dataclass(frozen=True, slots=True)
class To:
    """An ask of a worker."""

    worker: str
    ask: Assign | Cancel | Settled
    number: int  # counts all of a service's


@dataclass(frozen=True, slots=True)
class EndAll:
    """End the workers, each once it is idle or so much time has passed; then end."""

    drain_s: float


Order = Begin | To | EndAll


@dataclass(frozen=True, slots=True)
class Beat:
    """The head answers; said every second."""

    places: tuple[str, ...]  # a card each of the machines that it knows


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the cluster can't be used, a sentence."""

    why: str


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why a place has no actor yet."""

    place: str  # "render1-0"
    why: str


@dataclass(frozen=True, slots=True)
class Met:
    """The actor of a place is there: its worker, and what that has."""

    place: str
    card: Card  # its worker is "render1-gpu0": Ray decides which card an actor gets
    attempts: tuple[Attempt, ...]  # in hand, or ended and not settled
    number: int  # of the last `To` that was heard for it before


@dataclass(frozen=True, slots=True)
class Shown:
    """How a worker is."""

    card: Card


@dataclass(frozen=True, slots=True)
class News:
    """Something that a worker told, with the bytes of its latents, for their file is on its
    machine.
    """

    told: Reached | Over
    latents: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A worker did not take an attempt in hand."""

    worker: str
    job: str
    token: int
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker's machine has left the cluster."""

    worker: str
    why: str


Report = Beat | Trouble | Unmet | Met | Shown | News | Refusal | Gone


@dataclass(frozen=True, slots=True)
class Attached:
    """An actor's answer to the service that it obeys from now on."""

    session: int
    code: str  # digest of the code that it runs
    settings: Settings  # that it was made with
    card: Card
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an actor had to tell."""

    card: Card
    news: tuple[News, ...]
    number: int  # of the last of them
