"""What is told of running clips and of cards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltx2_service.values.job import Failure, Job


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running attempt of a job is. Steps are those that the card has done."""

    stage: str
    step: int
    steps: int
    latents: Path | None = (
        None  # .npy, float16, (channels, rows, columns): a preview can be made of it
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: the clip is in its place, or `failure` says why not."""

    seconds: float
    peak_bytes: int
    failure: Failure | None = None
    worker_lost: bool = False  # the attempt is to be made again, by another process


@dataclass(frozen=True, slots=True)
class Card:
    """A worker's card, for people and the scheduler."""

    index: int  # nvidia-smi's; 0 on a machine without one
    name: str
    worker: str  # "gpu0"
    state: str  # "starting", "idle", "running", "stopping", "lost"
    base: str | None  # of the process that is up
    warm: tuple[str, ...]  # models whose weights it has parked
    job: str | None  # that runs
    used_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job, numbered from 1 for each, so that a client can resume."""

    number: int
    job: str
    kind: str  # "queued", "place", "running", "progress", "preview", "completed", "failed"
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs of a list."""

    jobs: tuple[Job, ...]
    has_more: bool  # behind the last


@dataclass(frozen=True, slots=True)
class QueueState:
    """Whether clips are taken and made."""

    waiting: int
    running: int
    draining: bool
    ready: bool
    why_not: str | None = None  # a sentence, where it is not ready
