"""A service over a temporary folder, with workers that are threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltx2_service.jobs.service import Service
from ltx2_service.values.assignment import Renderer
from ltx2_service.values.job import Job, Wanted
from ltx2_service.values.judged import Judged
from ltx2_service.values.settings import Limits, Model, Settings
from tests.service.fake_executor import FakeExecutor
from tests.service.http.server import require_ended

RENDERER = Renderer("1.2.0", "series-1", ("renders",), {})
Begin = Callable[..., Service]


def judge(wanted: Wanted) -> Judged:
    """What any clip comes to, without a gate."""
    return Judged(
        argv=("--prompt", wanted.prompt, "--seed", str(wanted.seed)),
        seed=wanted.seed or 0,
        width=wanted.width or 768,
        height=wanted.height or 512,
        num_frames=wanted.num_frames or 25,
        frame_rate=wanted.frame_rate or 25.0,
        series="series-1",
        renderer=RENDERER,
        module="ltx_pipelines.distilled",
    )


def settings_in(folder: Path, *, queued: int = 1000) -> Settings:
    """Two models of one base, below `folder`."""
    models = tuple(Model(name, "1.2.0", "distilled", {}) for name in ("fast", "fine"))
    return Settings(
        models=models,
        state=folder / "state",
        clips=folder / "clips",
        limits=Limits(queued=queued),
    )


@pytest.fixture(scope="session", autouse=True)
def servers_end() -> Iterator[None]:
    """At the end of all tests no server is left."""
    yield
    require_ended()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts services, which have ended when the test has."""
    begun: list[Service] = []

    def start(executor: FakeExecutor, **options: int) -> Service:
        service = Service(settings_in(tmp_path, **options), executor, judge)
        service.start()
        begun.append(service)
        return service

    yield start
    for service in begun:
        if not service._ended.is_set():
            service._executor.let_go()  # type: ignore[attr-defined]
            service.stop(0)


def until(holds: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Wait for something to hold."""
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, "it did not come to hold"
        time.sleep(0.005)


def ended(service: Service, job: Job) -> Job:
    """The job, once it has ended."""
    until(lambda: service.job(job.id).state.is_end)
    return service.job(job.id)
