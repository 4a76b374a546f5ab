from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.openai_words import (
    CreateVideo,
    RemixVideo,
    Video,
    poll_after_ms,
    progress_of,
    remix_of,
    video_of,
    wanted_of,
)
from ltx2_service.values.job import Failure, Job, Picture, State, Wanted

WANTED = st.builds(
    Wanted,
    prompt=st.text(min_size=1),
    model=st.just("small"),
    negative_prompt=st.none() | st.text(),
    width=st.integers(64, 2048),
    height=st.integers(64, 2048),
    num_frames=st.integers(1, 1000),
    frame_rate=st.floats(1, 120),
    seed=st.integers(0, 2**63 - 1),
    pictures=st.lists(
        st.builds(Picture, st.just(Path("a.png")), st.integers(0, 99), st.floats(0, 1)), max_size=2
    ).map(tuple),
)
JOBS = st.builds(
    Job,
    id=st.just("video_1"),
    wanted=WANTED,
    state=st.sampled_from(State),
    created_s=st.floats(0, 2**32),
    argv=st.just(()),
    series=st.just("s"),
    ended_s=st.none() | st.floats(0, 2**32),
    step=st.integers(0, 99),
    steps=st.integers(0, 99),
    failure=st.none() | st.builds(Failure, st.text(), st.text()),
)


@given(JOBS)
def test_every_job_is_a_video_that_clients_understand(job: Job) -> None:
    video = video_of(job, place=None, left_s=None, retain_days=30)
    Video.model_validate(video, strict=True)
    assert set(video) == set(Video.model_fields)
    assert (video["status"] == "completed") is (video["progress"] == 100)
    assert 0 <= progress_of(job) <= 100


@given(JOBS, st.text(min_size=1, max_size=99).filter(lambda text: "\0" not in text))
def test_a_remix_is_all_else_the_same(job: Job, prompt: str) -> None:
    wanted = remix_of(job, RemixVideo(prompt=prompt), owner="ann", key="k")
    assert wanted.remixed_from == job.id
    back = replace(
        wanted, prompt=job.wanted.prompt, owner="", key=None, remixed_from=None, origin="v1"
    )
    assert back == job.wanted


@given(JOBS, st.integers(-1, 2**63 - 1))
def test_a_remix_may_have_another_seed(job: Job, seed: int) -> None:
    body = RemixVideo(prompt="y", seed=seed)
    wanted = remix_of(job, body, owner="", key=None)
    assert wanted.seed == (None if seed == -1 else seed)


@given(st.none() | st.floats(0, 1e6))
def test_polling_is_neither_mad_nor_slow(left_s: float | None) -> None:
    assert 250 <= poll_after_ms(left_s) <= 5000


def test_seconds_come_back_as_a_string_as_they_came() -> None:
    for seconds in ("8", 8, 8.0):
        body = CreateVideo.model_validate({"prompt": "x", "seconds": seconds})
        wanted = wanted_of(body, owner="", key=None)
        assert wanted.echo == {"seconds": "8"}
        assert (wanted.num_frames, wanted.frame_rate) == (193, 24.0)
