"""A job: one clip that was asked for, from when it was accepted until it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

MOST_ATTEMPTS = 3


class State(Enum):
    """Where a job is; the last two are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether nothing happens to the job any more."""
        return self in {State.COMPLETED, State.FAILED}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a code for programs and a sentence for people."""

    code: str  # "cancelled", "refused", "worker_crashed", "timeout", "out_of_memory", ...
    message: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a clip passes through."""

    path: Path  # the service's own copy
    frame: int = 0
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A clip that somebody asks for, in no API's words. None is the model's own default."""

    prompt: str
    model: str | None = None  # a name of the settings; None: the first
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    num_frames: int | None = None
    frame_rate: float | None = None
    seed: int | None = None  # None is drawn when the job is accepted
    steps: int | None = None
    enhance_prompt: bool = False
    pictures: tuple[Picture, ...] = ()
    priority: int = 0  # higher goes first
    gpu: int | None = None  # pinned to that card; None: whichever is free first
    owner: str = ""  # the name of the token that it came with
    key: str | None = None  # Idempotency-Key
    origin: str = "v1"  # the API that it came by: "v1", "own"
    remixed_from: str | None = None
    echo: Mapping[str, Any] = field(default_factory=dict)  # what that API gives back as it came


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the store, which is the truth."""

    id: str  # "video_..." of v1, "t2v_20260109_152500_abc12345" or "i2v_..." of the user's own API
    wanted: Wanted  # with model, seed and sizes filled in
    state: State
    created_s: float  # since 1970
    argv: tuple[str, ...]  # of the script, without --output-path
    series: str  # digest of the series and base that accepted it, and then of that which made it
    attempt: int = 0  # of MOST_ATTEMPTS; counted when it is claimed
    worker: str | None = None  # that runs it or ran it last
    started_s: float | None = None
    ended_s: float | None = None
    stage: str = ""  # "encoding", "denoising", "decoding", ...: of the running attempt
    step: int = 0
    steps: int = 0
    cancels: bool = False  # somebody asked that it ends
    failure: Failure | None = None
    clip: Path | None = None  # of a completed one; gone once it was retained long enough
    seconds: float | None = None  # that making it took


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at a job: `token` is new for each, and nothing counts but under the latest."""

    job: Job
    token: int
    worker: str
