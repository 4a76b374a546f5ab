"""What follows for a job when one of its attempts ends."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_service.values.job import Failure


@dataclass(frozen=True, slots=True)
class Completed:
    """The clip is there."""

    clip: str  # the name of its file
    seconds: float  # that making it took
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ends without a clip."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Again:
    """The job waits for its next attempt."""

    counts: bool = True  # whether the one that ended is one of those that a job has


Outcome = Completed | Failed | Again
