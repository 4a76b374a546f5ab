"""A night in small: clips by both APIs and the page, while all goes wrong that can."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import httpx
import pytest

from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.store import Store
from ltx2_service.jobs.control import stop
from ltx2_service.jobs.service import DATABASE
from ltx2_service.values.job import Job, State
from tests.browser import Tab
from tests.conftest import ROOT
from tests.service.cli.test_serving import Place
from tests.service.executors.test_faults import left_of
from tests.service.http.server import client_of
from tests.service.page.conftest import opened

PATIENCE_S = 300.0
FULL_S = 1.0  # that the disk is full
AGAIN_S = 0.1


@dataclass
class Night:
    """A service under trouble, and what was asked of it."""

    place: Place
    port: int
    asked: int = 0
    kills: int = 0
    answers: Counter[int] = field(default_factory=Counter)  # of both APIs, by status
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def berth(self) -> Berth:
        return Berth(self.place.settings.state, "gpu0")

    def ask(self, path: str, prompt: str) -> str:
        """The job that an API made of it; it is asked again, under one key, until it says so."""
        ends_s = time.monotonic() + PATIENCE_S
        with client_of(self.address, **{"Idempotency-Key": prompt}) as http:
            while time.monotonic() < ends_s:
                with contextlib.suppress(httpx.TransportError):
                    answer = http.post(path, json={"prompt": prompt}, timeout=PATIENCE_S)
                    self.answers[answer.status_code] += 1
                    told = answer.json()
                    if job := told.get("task_id") or told.get("id"):
                        self.asked += 1
                        return str(job)
                time.sleep(AGAIN_S)
        raise AssertionError(f"{prompt} was never taken")

    def is_done(self) -> bool:
        """Nothing waits or runs."""
        with client_of(self.address) as http:
            health = http.get("/health").json()
        return (health["queued"], health["running"]) == (0, 0)

    def trouble(self, clips: int, chance: random.Random) -> None:
        """Kill the worker again and again, fill the disk once, and start the service anew once."""
        due = [(clips // 3, self._fill_disk), (2 * clips // 3, self._start_anew)]
        while not self.over.wait(chance.uniform(0.3, 1.2)):
            if due and self.asked >= due[0][0]:
                due.pop(0)[1]()
            elif (pid := self.berth.holder()) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1
        assert not due

    def _fill_disk(self) -> None:
        """Nobody of the service can write a byte."""
        here = self.place.service() + [int(pid) for pid in left_of(self.berth)]
        here += [pid for pid in [self.berth.holder()] if pid is not None]
        with contextlib.ExitStack() as limited:
            for pid in here:
                limited.enter_context(_limited(pid))
            time.sleep(FULL_S)

    def _start_anew(self) -> None:
        stopped = stop(self.place.settings)
        assert stopped is not None and not stopped.killed
        assert self.place.start(port=self.port).port == self.port


@contextmanager
def _limited(pid: int) -> Iterator[None]:
    """No file of a process may grow, as far as it lives."""
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    except ProcessLookupError:
        yield
        return
    yield
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def prompts(kind: str, clips: int) -> list[str]:
    return [f"--steps 3 --step-s 0.03 --clip {kind}-{at:03}" for at in range(clips)]


def type_all(night: Night, window: Tab, wanted: list[str]) -> None:
    """Ask for clips on the page, as a person does: again where it says that it was refused."""
    refused = "document.querySelector('#refused')"
    with opened(window, night.address) as shown:
        shown.until("!document.querySelector('#wanted').inert")
        for prompt in wanted:
            while True:
                shown.fill("[name=prompt]", prompt)
                shown.click("#make")
                there = f"document.querySelector('main').innerText.includes({prompt!r})"
                shown.until(f"{there} || {refused}.checkVisibility()")
                if not shown.ask(f"{refused}.checkVisibility()"):
                    break
                time.sleep(AGAIN_S)
            night.asked += 1


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    monkeypatch.chdir(ROOT)
    place = Place(tmp_path)
    yield Night(place, place.start().port)
    stop(place.settings)
    Berth(place.settings.state, "gpu0").clear()


def until(holds: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_s, "it did not come to hold"
        time.sleep(0.1)


def all_jobs(night: Night) -> tuple[tuple[Job, ...], Counter[str]]:
    """Every job, and how often each ended, as the database has it once nobody serves."""
    settings = night.place.settings
    store = Store(settings.state / DATABASE, settings.clips)
    jobs = store.jobs(after=None, limit=10_000, newest_first=False, owner=None)
    ends: Counter[str] = Counter()
    for job in jobs:
        kinds = [event.kind for event in store.events(job.id, 0)]
        ends[job.id] = kinds.count("completed") + kinds.count("failed")
    store.close()
    return jobs, ends


@pytest.mark.slow
@pytest.mark.parametrize("clips", [300])
def test_each_clip_is_made_once_or_has_failed_for_a_reason(
    night: Night, window: Tab, clips: int
) -> None:
    wanted = {kind: prompts(kind, clips // 3) for kind in ("page", "v1", "own")}
    with ThreadPoolExecutor(10) as pool:
        trouble = pool.submit(night.trouble, clips, random.Random(clips))
        try:
            asking = [
                pool.submit(night.ask, path, prompt)
                for both in zip(wanted["v1"], wanted["own"], strict=True)
                for path, prompt in zip(("/v1/videos", "/generate/text2video"), both, strict=True)
            ]
            type_all(night, window, wanted["page"])
            told = {one.result() for one in asking}
        finally:
            night.over.set()
        trouble.result()
    until(night.is_done)
    stopped = stop(night.place.settings)
    assert stopped is not None and not stopped.killed
    jobs, ends = all_jobs(night)
    failed = Counter(job.failure.code for job in jobs if job.failure is not None)
    print(f"{len(jobs)} jobs, {night.kills} kills, {dict(night.answers)}, {dict(failed)}")
    assert sorted(job.wanted.prompt for job in jobs) == sorted(chain(*wanted.values()))
    assert set(ends.values()) == {1}
    assert told <= {job.id for job in jobs}
    assert failed.keys() <= {"worker_crashed", "no_space", "not_written", "script_failed"}
    names = set()
    for job in jobs:
        if job.state is State.COMPLETED:
            assert job.clip is not None and job.clip.read_text() == job.wanted.prompt.split()[-1]
            names |= {job.clip.name, f"{job.id}.json"}
    left = {path.name for path in night.place.settings.clips.iterdir()}
    assert left - {one for one in left if ".thumbnail." in one} - names == set()
    assert {name for name in names if name.endswith(".mp4")} <= left
    assert list((night.place.settings.state / "spool").iterdir()) == []
    assert left_of(night.berth) == [] and night.place.workers() == []
