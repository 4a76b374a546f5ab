"""An executor with its workers, whose renderers are fake: real processes, clips of a few bytes."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_service.boundaries import link
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.executor import Executor
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.boundaries.ray.executor import RayExecutor
from ltx2_service.values.assignment import Assignment, Renderer
from ltx2_service.values.settings import Cluster, Settings
from ltx2_service.values.told import Card, Ended, Progress
from tests.conftest import ROOT
from tests.service.executors.small_cluster import SmallCluster
from verify.service import fake_child

WAIT_S = 60.0  # for what takes well under a second on a quiet machine, a real clip ten
RENDERER = Renderer("1.2.0", "series", (sys.executable, fake_child.__file__), dict(os.environ))
WORKER = "gpu0"
NODE = "a"


class Heard:
    """What an executor told, and waiting for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, Progress | Ended]] = []
        self.fails = False  # when it is told of the next end
        self._changed = threading.Condition()

    def __call__(self, job: str, token: int, told: Progress | Ended) -> None:
        with self._changed:
            if self.fails and isinstance(told, Ended):
                self.fails = False
                raise OSError("no space left")
            self.told.append((job, token, told))
            self._changed.notify_all()

    def ends(self, job: str, token: int = 1) -> list[Ended]:
        return [
            told
            for name, number, told in self.told
            if (name, number) == (job, token) and isinstance(told, Ended)
        ]

    def progress(self, job: str) -> list[Progress]:
        return [told for name, _, told in self.told if name == job and isinstance(told, Progress)]

    def end(self, job: str, token: int = 1) -> Ended:
        """How the attempt ends; waits for that."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ends(job, token), WAIT_S), self.told
        return self.ends(job, token)[0]

    def step(self, job: str, number: int = 1) -> Progress:
        """A step of the attempt; waits for it."""

        def steps() -> list[Progress]:
            return [told for told in self.progress(job) if told.step == number]

        with self._changed:
            assert self._changed.wait_for(steps, WAIT_S), self.told
        return steps()[0]


class Bench:
    """A state folder with the executors that were started on it."""

    worker = WORKER

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            models=(), state=folder / "state", clips=folder / "clips", gpus=(0,), lease_s=20.0
        )
        self.settings.clips.mkdir(exist_ok=True)
        self.gate = folder / "gate"  # a clip with `--until` that file is made once it is there
        self.renderer = RENDERER
        self._left: list[Executor] = []

    @property
    def berth(self) -> Berth:
        return Berth(self.settings.state, self.worker)

    def executor(self, settings: Settings | None = None, code: str | None = None) -> Executor:
        """One that is not started yet."""
        self._left.append(self._made(settings or self.settings, code))
        return self._left[-1]

    def _made(self, settings: Settings, code: str | None) -> Executor:
        return LocalExecutor(settings, code)

    def start(self, settings: Settings | None = None) -> tuple[Executor, Heard]:
        """An executor whose worker is idle or has something in hand."""
        executor, heard = self.executor(settings), Heard()
        executor.start(heard)
        wait_for(lambda: executor.cards() and card(executor).state in {"idle", "running"})
        return executor, heard

    def assignment(
        self,
        job: str,
        *argv: str,
        token: int = 1,
        run_limit_s: float = 60.0,
        renderer: Renderer | None = None,
    ) -> Assignment:
        part = self.settings.clips / f"{job}.{token}.part.mp4"
        return Assignment(
            job=job,
            token=token,
            model="model",
            argv=(*argv, "--output-path", str(part)),
            part=part,
            place=self.clip(job),
            run_limit_s=run_limit_s,
            renderer=renderer or self.renderer,
            module="fake",
        )

    def clip(self, job: str) -> Path:
        return self.settings.clips / f"{job}.mp4"

    @property
    def slow(self) -> tuple[str, ...]:
        """The words of a clip that waits for `go_on` after its first step."""
        return ("--steps", "3", "--until", str(self.gate))

    def go_on(self) -> None:
        """Such clips are made, and those that come."""
        self.gate.touch()

    def spooled(self) -> list[str]:
        return sorted(path.name for path in (self.settings.shared / "spool").glob("*"))

    def close(self) -> None:
        for executor in self._left:
            executor.leave()
        for lock in self.berth.folder.glob("*.lock"):
            Berth(self.berth.state, lock.stem).clear()


class RayBench(Bench):
    """The same on a node of a cluster."""

    worker = f"{NODE}-gpu0"

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder)
        shared = folder / "clips"
        self.settings = replace(
            self.settings, gpus=None, tree=ROOT, cluster=replace(cluster, shared=shared)
        )

    @property
    def berth(self) -> Berth:
        return Berth(self.settings.state / "nodes" / NODE, self.worker)

    def _made(self, settings: Settings, code: str | None) -> Executor:
        return RayExecutor(settings, code)

    def close(self) -> None:
        """The next one needs the card."""
        *before, last = self._left or [self.executor()]
        for executor in before:
            executor.leave()
        assert isinstance(last, RayExecutor)
        if not last.listens:
            last = RayExecutor(self.settings)
            last.start(Heard())
        last.stop(0.0)


def card(executor: Executor) -> Card:
    """Of its only worker."""
    (one,) = executor.cards()
    return one


def in_hand(executor: Executor, heard: Heard) -> list[tuple[str, int]]:
    """Attempts whose end was not told."""
    attempts = [(job, token) for job, token, _ in executor.running()]
    return [attempt for attempt in attempts if not heard.ends(*attempt)]


def wait_for(true: Callable[[], object], limit_s: float = WAIT_S) -> None:
    """Return once it holds."""
    pause, waited_s = threading.Event(), 0.0
    while not true():
        assert waited_s < limit_s, "it never came true"
        pause.wait(0.01)
        waited_s += 0.01


def with_variable(renderer: Renderer, name: str, value: str) -> Renderer:
    return replace(renderer, variables={**renderer.variables, name: value})


@pytest.fixture(scope="session")
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCluster]:
    """A head, and a node with a card."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:
        cluster = SmallCluster(tmp_path_factory.mktemp("cluster"), Path(short))
        try:
            cluster.start_head()
            cluster.start_node(NODE)
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setattr(link, "_LISTEN_S", 0.02)  # or each executor would be waited for
    if request.param == "local":
        made = Bench(tmp_path)
    else:
        made = RayBench(tmp_path, request.getfixturevalue("small_cluster").cluster)
    yield made
    made.close()


@pytest.fixture
def local_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Of what a cluster has no like."""
    monkeypatch.setattr(link, "_LISTEN_S", 0.02)  # or each executor would be waited for
    made = Bench(tmp_path)
    yield made
    made.close()
