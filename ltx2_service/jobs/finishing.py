"""An attempt has ended: its clip counts, or is gone, and the job goes on or ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.store import Store
from ltx2_service.rules.clip_settings import settings_of
from ltx2_service.rules.names import clip_name
from ltx2_service.rules.outcome import CANCELLED, outcome_of
from ltx2_service.rules.wanted_text import fields_of
from ltx2_service.values.attempt import Again, Completed
from ltx2_service.values.job import Claim, Job, State
from ltx2_service.values.told import Ended

_LOG = logging.getLogger(__name__)


def settle(
    job_id: str,
    token: int,
    ended: Ended | None,
    *,
    store: Store,
    clips: Clips,
    clock: Callable[[], float],
    given_up: bool = False,
) -> Job | None:
    """The job as it is now that the attempt has ended; None where the attempt did not count.

    It may be called again for the same end: nothing is then changed. `ended` is None where nobody
    knows of the attempt any more.

    Raises: OutsideError where the disk does not take it; then it is to be called again.
    """
    claim = store.claimed(job_id)
    if claim is None or claim.token != token or claim.job.state is not State.RUNNING:
        if claim is None or claim.job.clip != clips.place(job_id, token):
            clips.drop_attempt(job_id, token)
        return None
    there = clips.place(job_id, token).is_file()
    name = clip_name(job_id, token) if there else None
    outcome = outcome_of(claim.job, ended, name, given_up=given_up)
    if isinstance(outcome, Completed):
        _write_settings(claim, outcome, clips)
    job = store.finish(job_id, token, outcome, clock())
    if isinstance(outcome, Again) and job is not None and job.cancels:  # asked just now
        job = store.refuse(job_id, CANCELLED, clock()) or job
    if not isinstance(outcome, Completed):
        clips.drop_attempt(job_id, token)
    _LOG.info("%s attempt %s: %s", job_id, claim.job.attempt, type(outcome).__name__.lower())
    return job


def release(claim: Claim, *, store: Store, clips: Clips, clock: Callable[[], float]) -> None:
    """An attempt that the service gave up itself is not one of those that a job has."""
    outcome = outcome_of(claim.job, None, None, given_up=True)
    if store.finish(claim.job.id, claim.token, outcome, clock()) is not None:
        clips.drop_attempt(claim.job.id, claim.token)


def _write_settings(claim: Claim, done: Completed, clips: Clips) -> None:
    job = replace(claim.job, seconds=done.seconds)
    settings = {
        **settings_of(job),
        "pictures": fields_of(job.wanted)["pictures"],
        "argv": job.argv,
        "attempt": job.attempt,
        "peak_bytes": done.peak_bytes,
    }
    try:
        clips.write_settings(job.id, settings)
    except OutsideError as error:  # the clip is there, and its settings stand in its row too
        _LOG.warning("the settings of %s: %s", job.id, error)
