"""An executor with its workers, whose renderers are fake: real processes, clips of a few bytes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_service.boundaries import link
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.executor import Executor
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.values.assignment import Assignment, Renderer
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card, Ended, Progress
from verify.service import fake_child

WAIT_S = 60.0  # for what takes well under a second on a quiet machine, a real clip ten
RENDERER = Renderer("1.2.0", "series", (sys.executable, fake_child.__file__), dict(os.environ))
WORKER = "gpu0"


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

    def __init__(self, make: Callable[[Settings], Executor], folder: Path) -> None:
        self.settings = Settings(
            models=(), state=folder / "state", clips=folder / "clips", gpus=(0,), lease_s=20.0
        )
        self.settings.clips.mkdir(exist_ok=True)
        self.gate = folder / "gate"  # a clip with `--until` that file is made once it is there
        self.renderer = RENDERER
        self._make = make
        self._left: list[Executor] = []

    @property
    def berth(self) -> Berth:
        return Berth(self.settings.state, WORKER)

    def executor(self, settings: Settings | None = None) -> Executor:
        """One that is not started yet."""
        self._left.append(self._make(settings or self.settings))
        return self._left[-1]

    def start(self, settings: Settings | None = None) -> tuple[Executor, Heard]:
        """An executor whose worker is idle or has something in hand."""
        executor, heard = self.executor(settings), Heard()
        executor.start(heard)
        wait_for(lambda: card(executor).state in {"idle", "running"})
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
        return sorted(path.name for path in (self.settings.state / "spool").glob("*"))

    def close(self) -> None:
        for executor in self._left:
            executor.leave()
        for lock in self.berth.folder.glob("*.lock"):
            Berth(self.settings.state, lock.stem).clear()


def card(executor: Executor, worker: str = WORKER) -> Card:
    return next(card for card in executor.cards() if card.worker == worker)


def wait_for(true: Callable[[], object]) -> None:
    """Return once it holds."""
    pause, waited_s = threading.Event(), 0.0
    while not true():
        assert waited_s < WAIT_S, "it never came true"
        pause.wait(0.01)
        waited_s += 0.01


def with_variable(renderer: Renderer, name: str, value: str) -> Renderer:
    return replace(renderer, variables={**renderer.variables, name: value})


@pytest.fixture(params=[LocalExecutor], ids=["local"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setattr(link, "_LISTEN_S", 0.02)  # or each executor would be waited for
    bench = Bench(request.param, tmp_path)
    yield bench
    bench.close()
