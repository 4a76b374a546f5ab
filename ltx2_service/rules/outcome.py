"""What becomes of a job when an attempt at it has ended. Pure."""

from __future__ import annotations

from ltx2_service.values.attempt import Again, Completed, Failed, Outcome
from ltx2_service.values.job import MOST_ATTEMPTS, Failure, Job
from ltx2_service.values.told import Ended

CANCELLED = Failure("cancelled", "The clip was cancelled.")


def outcome_of(
    job: Job, ended: Ended | None, clip: str | None, *, given_up: bool = False
) -> Outcome:
    """What follows. `clip` names the file that the attempt left, None where there is none; `ended`
    is None where nobody knows of the attempt any more; `given_up` says that the service itself
    ended the workers that were still at it.
    """
    if ended is not None and not ended.worker_lost:
        if ended.failure is None and clip is not None:
            return Completed(clip, ended.seconds, ended.peak_bytes)
        # Nobody asked for it: the service gave its worker up.
        unasked = ended.failure is not None and ended.failure.code == CANCELLED.code
        if ended.failure is not None and not (unasked and not job.cancels):
            return Failed(CANCELLED if job.cancels else ended.failure)
    if job.cancels:
        return Failed(CANCELLED)
    if given_up:
        return Again(counts=False)
    return Failed(_crashed(ended)) if job.attempt >= MOST_ATTEMPTS else Again()


def _crashed(ended: Ended | None) -> Failure:
    why = (
        "" if ended is None or ended.failure is None else f" The last time: {ended.failure.message}"
    )
    return Failure(
        "worker_crashed",
        f"The process that made the clip ended without one, {MOST_ATTEMPTS} times.{why}",
    )
