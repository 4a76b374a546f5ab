"""What decides which clip is made next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job, as far as the order is concerned."""

    id: str
    number: int  # of its acceptance
    owner: str
    priority: int
    gpu: int | None  # that it is pinned to
    model: str
    tokens: int  # latent tokens of the clip


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that could take a job now."""

    worker: str
    gpu: int
    base: str | None  # of the process that is up
    warm: tuple[str, ...]  # models whose weights it has parked
    keeps: bool = False  # it took its model so short a while ago that it goes on with it


@dataclass(frozen=True, slots=True)
class Run:
    """A clip that was made, as far as its time is concerned."""

    model: str
    tokens: int
    seconds: float
    cold: bool  # its worker had to load the model first
