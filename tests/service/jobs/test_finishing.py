from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.store import Store
from ltx2_service.jobs.finishing import release, settle
from ltx2_service.values.job import Claim, Job, State, Wanted
from ltx2_service.values.told import Ended

DONE = Ended(1.5, 7)
LOST = Ended(0.5, 0, worker_lost=True)


class Bench:
    """A store and a folder, and a job that runs."""

    def __init__(self, folder: Path) -> None:
        self.clips = Clips(folder / "clips")
        self.store = Store(folder / "jobs.sqlite3", self.clips.root)
        job = Job("video_1", Wanted("x", model="fast"), State.QUEUED, 1.0, (), "series")
        self.store.accept(job, body="", tokens=1, most=9, data={})

    def claim(self) -> Claim:
        claim = self.store.claim("video_1", "gpu0", cold=False, now_s=2.0)
        assert claim is not None
        return claim

    def settle(self, token: int, ended: Ended | None) -> Job | None:
        return settle(
            "video_1", token, ended, store=self.store, clips=self.clips, clock=lambda: 3.0
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.clips.root.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_end_that_is_told_twice_counts_once(bench: Bench) -> None:
    token = bench.claim().token
    bench.clips.place("video_1", token).write_bytes(b"clip")
    done = bench.settle(token, DONE)
    assert done is not None and done.clip == bench.clips.place("video_1", token)
    events = bench.store.events("video_1", 0)
    assert bench.settle(token, DONE) is None
    assert bench.settle(token, LOST) is None
    assert bench.store.events("video_1", 0) == events
    assert bench.files() == ["video_1.json", "video_1.mp4"]


def test_a_late_clip_of_an_old_attempt_is_gone_and_the_one_that_counts_stays(bench: Bench) -> None:
    first = bench.claim().token
    assert bench.settle(first, None) is not None  # its lease has passed
    second = bench.claim().token
    bench.clips.place("video_1", first).write_bytes(b"late")
    assert bench.settle(first, DONE) is None
    bench.clips.place("video_1", second).write_bytes(b"clip")
    done = bench.settle(second, DONE)
    assert done is not None and done.clip is not None and done.clip.read_bytes() == b"clip"
    bench.clips.place("video_1", first).write_bytes(b"later still")
    bench.settle(first, DONE)
    assert bench.files() == ["video_1.2.mp4", "video_1.json"]


def test_a_clip_that_is_not_there_was_not_made(bench: Bench) -> None:
    token = bench.claim().token
    bench.clips.part("video_1", token).write_bytes(b"half")
    job = bench.settle(token, DONE)
    assert job is not None and job.state is State.QUEUED and job.attempt == 1
    assert bench.files() == []


def test_a_late_end_of_a_job_that_is_gone_leaves_nothing(bench: Bench) -> None:
    token = bench.claim().token
    bench.store.cancel("video_1", 2.0)
    assert bench.settle(token, LOST) is not None
    bench.store.delete("video_1")
    bench.clips.place("video_1", token).write_bytes(b"late")
    assert bench.settle(token, DONE) is None
    assert bench.files() == []


def test_what_the_service_gave_up_waits_again_unless_somebody_cancelled_it(bench: Bench) -> None:
    release(bench.claim(), store=bench.store, clips=bench.clips, clock=lambda: 3.0)
    job = bench.store.job("video_1")
    assert job is not None and job.state is State.QUEUED and job.attempt == 0
    bench.claim()
    cancelled = bench.store.cancel("video_1", 3.0)
    assert cancelled is not None
    release(cancelled, store=bench.store, clips=bench.clips, clock=lambda: 3.0)
    job = bench.store.job("video_1")
    assert job is not None and job.failure is not None and job.failure.code == "cancelled"
