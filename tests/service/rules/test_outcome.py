from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.outcome import CANCELLED, outcome_of
from ltx2_service.values.attempt import Again, Completed, Failed
from ltx2_service.values.job import MOST_ATTEMPTS, Failure, Job, State, Wanted
from ltx2_service.values.told import Ended

JOB = Job("video_1", Wanted("x"), State.RUNNING, 0.0, (), "series", attempt=1)
FAILURE = Failure("out_of_memory", "The card's memory is too small.")
jobs = st.builds(
    lambda attempt, cancels: replace(JOB, attempt=attempt, cancels=cancels),
    st.integers(1, MOST_ATTEMPTS),
    st.booleans(),
)
ends = st.none() | st.builds(
    Ended,
    st.just(1.0),
    st.just(2),
    st.sampled_from([None, FAILURE, CANCELLED]),
    st.booleans(),
)


def test_a_clip_counts_although_somebody_cancelled_too_late() -> None:
    for cancels in (False, True):
        job = replace(JOB, cancels=cancels)
        assert outcome_of(job, Ended(1.0, 2), "clip.mp4") == Completed("clip.mp4", 1.0, 2)


def test_a_failure_is_told_as_it_is_and_not_tried_again() -> None:
    assert outcome_of(JOB, Ended(1.0, 2, FAILURE), None) == Failed(FAILURE)


@given(jobs, ends, st.sampled_from([None, "clip.mp4"]))
def test_every_job_ends_after_so_many_attempts_at_most(
    job: Job, ended: Ended | None, clip: str | None
) -> None:
    outcome = outcome_of(job, ended, clip)
    if isinstance(outcome, Again):
        assert job.attempt < MOST_ATTEMPTS and not job.cancels and outcome.counts
    if isinstance(outcome, Completed):
        assert ended is not None and ended.failure is None and not ended.worker_lost and clip
    if job.cancels and not isinstance(outcome, Completed):
        assert outcome == Failed(CANCELLED)


@given(jobs)
def test_an_attempt_that_nobody_has_is_lost(job: Job) -> None:
    lost = outcome_of(job, None, None)
    assert lost == outcome_of(job, Ended(0.0, 0, worker_lost=True), None)
    assert lost == outcome_of(job, Ended(0.0, 0), None)  # it said so, and there is no clip
    if not job.cancels:
        if job.attempt < MOST_ATTEMPTS:
            assert lost == Again()
        else:
            assert isinstance(lost, Failed) and lost.failure.code == "worker_crashed"
        assert outcome_of(job, None, None, given_up=True) == Again(counts=False)


def test_who_always_crashes_its_worker_is_told_how() -> None:
    why = Failure("worker_crashed", "its process was ended by signal 11")
    last = replace(JOB, attempt=MOST_ATTEMPTS)
    lost = outcome_of(last, Ended(0.0, 0, why, worker_lost=True), None)
    assert isinstance(lost, Failed) and lost.failure.message.endswith("by signal 11")


def test_a_cancel_that_nobody_asked_for_is_an_attempt_lost() -> None:
    assert outcome_of(JOB, Ended(1.0, 0, CANCELLED), None) == Again()
