"""The service with real workers and fake renderers, and what may befall it, again and again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import MOST_ATTEMPTS, Job, State, Wanted
from ltx2_service.values.settings import Settings
from tests.service.cli.small_serve import judge, settings_in
from tests.service.conftest import ended, until
from tests.service.executors.test_faults import left_of

# tests/service/executors has each of these for one worker alone, jobs/test_service.py for threads.
pytestmark = pytest.mark.slow
WORKER = "gpu0"
Begin = Callable[..., Service]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def begin(settings: Settings) -> Iterator[Begin]:
    """Starts a service with one worker; what is left of it is gone afterwards."""
    begun: list[Service] = []

    def start(**changes: float) -> Service:
        changed = replace(settings, **changes)  # type: ignore[arg-type]
        begun.append(Service(changed, LocalExecutor(changed), judge))
        begun[-1].start()
        return begun[-1]

    yield start
    for service in begun:
        if not service._ended.is_set():
            service.stop(0)
    Berth(settings.state, WORKER).clear()


def ask(service: Service, prompt: str, **more: str) -> Job:
    return service.accept(Wanted(prompt, **more))[0]  # type: ignore[arg-type]


def require_made(service: Service, prompt: str = "--clip next") -> None:
    job = ended(service, ask(service, prompt))
    assert job.state is State.COMPLETED and job.attempt == 1


def worker_of(service: Service) -> int:
    """The process of its worker; waits for one."""
    berth = Berth(service.settings.state, WORKER)
    until(lambda: berth.holder() is not None)
    pid = berth.holder()
    assert pid is not None
    return pid


def is_ready(service: Service) -> Callable[[], bool]:
    return lambda: service.queue().ready


def is_tried_again(service: Service, job: Job) -> bool:
    return service.job(job.id).attempt == 2


def has_begun(service: Service, job: Job) -> None:
    """Wait for its first step."""
    until(lambda: service.job(job.id).step > 0)


def is_at(service: Service, job: Job, stage: str) -> None:
    """Wait until it is there, or has ended."""
    until(lambda: service.job(job.id).stage == stage or service.job(job.id).state.is_end)


def failure_code(job: Job) -> str | None:
    return None if job.failure is None else job.failure.code


@pytest.mark.parametrize("how", ["--die 9", "--die 11", "--kill-worker"])
def test_a_job_that_always_crashes_fails_and_the_next_is_made(begin: Begin, how: str) -> None:
    service = begin()
    bad = ended(service, ask(service, how))
    assert (failure_code(bad), bad.attempt) == ("worker_crashed", MOST_ATTEMPTS)
    require_made(service)
    clips = {path.suffix for path in service.settings.clips.iterdir()}
    assert clips == {".json", ".mp4"}


def test_after_out_of_memory_and_after_an_error_of_cuda_the_next_is_made(begin: Begin) -> None:
    service = begin()
    require_made(service)
    full = ended(service, ask(service, "--fail 'CUDA out of memory. Tried to allocate 2 GiB'"))
    assert (failure_code(full), full.attempt) == ("out_of_memory", 1)
    require_made(service)
    before = left_of(Berth(service.settings.state, WORKER))
    broken = ended(service, ask(service, "--fail 'CUDA error: an illegal memory access'"))
    assert (failure_code(broken), broken.attempt) == ("worker_crashed", MOST_ATTEMPTS)
    require_made(service)
    assert not {*before} & {*left_of(Berth(service.settings.state, WORKER))}


def test_it_is_ready_only_with_a_worker_that_answers(begin: Begin) -> None:
    """Though a worker is silent for less than its lease, and has a clip in hand or none."""
    service = begin()
    for prompt in (None, "--steps 3 --until nowhere"):
        until(is_ready(service))
        job = None if prompt is None else ask(service, prompt)
        if job is not None:
            has_begun(service, job)
        pid = worker_of(service)
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: not service.queue().ready)
            assert service.queue().why_not == "No worker is up."
        finally:
            os.kill(pid, signal.SIGCONT)
        until(is_ready(service))
        assert worker_of(service) == pid  # it was not replaced
        if job is not None:
            assert service.job(job.id).attempt == 1
            service.cancel(job.id)
            assert failure_code(ended(service, job)) == "cancelled"


def test_a_worker_that_can_not_come_up_is_told(begin: Begin, settings: Settings) -> None:
    service = begin()
    until(is_ready(service))
    berth = Berth(settings.state, WORKER)
    pid = worker_of(service)
    berth.socket.unlink()
    berth.socket.mkdir()  # where a worker would listen
    os.kill(pid, signal.SIGKILL)
    until(lambda: not service.queue().ready)
    assert not service.queue().ready
    job = ask(service, "--clip late")
    berth.socket.rmdir()
    assert ended(service, job).state is State.COMPLETED
    assert service.queue().ready


def test_a_worker_that_was_stopped_beyond_its_lease_and_woken(begin: Begin) -> None:
    service = begin(lease_s=0.6)
    for at in range(5):
        job = ask(service, f"--steps 10 --step-s 0.05 --clip {at}")
        has_begun(service, job)
        pid = worker_of(service)
        os.kill(pid, signal.SIGSTOP)
        until(partial(is_tried_again, service, job))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        done = ended(service, job)
        assert done.state is State.COMPLETED and done.clip is not None
        assert done.clip.read_text() == str(at)
        kinds = [event.kind for event in service.events(job.id)]
        assert kinds.count("completed") == 1
    clips = [path for path in service.settings.clips.iterdir() if path.suffix == ".mp4"]
    assert len(clips) == 5


STAGES = {
    "starting": None,
    "encoding": "GemmaTextEncoder",
    "denoising": "LTXModel",
    "upsampling": "LatentUpsampler",
    "decoding": "VideoDecoder",
}


def test_cancel_in_every_stage(begin: Begin) -> None:
    service = begin()
    require_made(service)
    for stage, model in STAGES.items():
        job = ask(service, "--steps 1" if model is None else f"--through {model} --hold")
        waits = ask(service, "--clip waits")
        if model is not None:
            is_at(service, job, stage)
        assert failure_code(service.cancel(waits.id)) == "cancelled"
        service.cancel(job.id)
        done = ended(service, job)
        assert failure_code(done) == "cancelled" or (model is None and done.clip is not None)
        require_made(service)
        service.cancel(job.id)
        assert service.job(job.id) == done


@pytest.mark.parametrize("seed", [1, 2])
def test_cancel_at_any_moment(begin: Begin, seed: int) -> None:
    """A clip was made, or it was cancelled; a file is there, or none."""
    chance, service = random.Random(seed), begin()
    ends = []
    for at in range(60):
        job = ask(service, f"--steps 3 --step-s 0.02 --clip {at}")
        if moment := chance.choice(["", "denoising"]):
            is_at(service, job, moment)
        service._ended.wait(chance.uniform(0, 0.1))
        service.cancel(job.id)
        ends.append(ended(service, job))
    made = [job for job in ends if job.state is State.COMPLETED]
    assert {failure_code(job) for job in ends} == {None, "cancelled"}
    names = {f"{job.id}{suffix}" for job in made for suffix in (".mp4", ".json")}
    assert {path.name for path in service.settings.clips.iterdir()} == names


def test_a_stop_does_not_wait_for_a_worker_that_is_stuck(begin: Begin, settings: Settings) -> None:
    service = begin()
    job = ask(service, "--steps 3 --until nowhere")
    has_begun(service, job)
    os.kill(worker_of(service), signal.SIGSTOP)
    service.stop(0.5)
    assert left_of(Berth(settings.state, WORKER)) == []
    assert Berth(settings.state, WORKER).holder() is None
    again = begin()
    assert again.job(job.id).attempt <= 1  # which the stop did not count
    assert not again.job(job.id).state.is_end
    again.cancel(job.id)
    assert failure_code(ended(again, job)) == "cancelled"
