"""A service from its start to its end, with real workers: how signals end it, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx2_patcher.values.errors import BusyError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.listening import listen, port_of
from ltx2_service.boundaries.lock import Holder, holder
from ltx2_service.jobs.control import start, stop
from tests.conftest import ROOT
from tests.service.cli.small_serve import settings_in

LIMIT_S = 60.0  # of what takes seconds on a quiet machine
PROGRAM = "tests.service.cli.small_serve"


class Place:
    """A folder with a service on it, which is gone afterwards with its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, settings_in(folder)

    def argv(self, *, port: int = 0, drain_s: float = 20.0) -> tuple[str, ...]:
        return (sys.executable, "-m", PROGRAM, str(self.folder), str(port), str(drain_s))

    def start(self, **options: float) -> Holder:
        return start(self.settings, self.argv(**options))  # type: ignore[arg-type]

    @property
    def slow(self) -> str:
        """The prompt of a clip that waits for `go_on` after its first step."""
        return f"--steps 3 --until {self.folder / 'gate'}"

    def go_on(self) -> None:
        """Such clips are made, and those that come."""
        (self.folder / "gate").touch()

    def service(self) -> list[int]:
        """The process that serves."""
        there = holder(self.settings.state)
        return [] if there is None else [there.pid]

    def workers(self) -> list[int]:
        """The processes that were started for this folder and still run."""
        mine = os.fsencode(self.folder)
        found = []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = place.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"ltx2_service.worker" in words and any(word.startswith(mine) for word in words):
                found.append(int(place.parent.name))
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(ROOT)
    place = Place(tmp_path)
    yield place
    stop(place.settings)
    Berth(place.settings.state, "gpu0").clear()  # with what it renders by


def until(holds: Callable[[], object]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end_s, "it did not come to hold"
        time.sleep(0.05)


def ask(there: Holder, prompt: str) -> str:
    """The id of a clip that is asked for."""
    answer = httpx.post(f"http://127.0.0.1:{there.port}/v1/videos", json={"prompt": prompt})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def video(there: Holder, name: str) -> dict[str, Any]:
    answer = httpx.get(f"http://127.0.0.1:{there.port}/v1/videos/{name}")
    found: dict[str, Any] = answer.json()
    return found


def runs(there: Holder, name: str) -> Callable[[], bool]:
    return lambda: video(there, name)["progress"] > 0


def is_made(there: Holder, name: str) -> Callable[[], bool]:
    return lambda: video(there, name)["status"] == "completed"


def has_ended(place: Place) -> Callable[[], bool]:
    return lambda: holder(place.settings.state) is None


def test_a_clip_is_made_and_nothing_is_left_behind(place: Place) -> None:
    there = place.start()
    name = ask(there, "--clip fox")
    until(is_made(there, name))
    content = httpx.get(f"http://127.0.0.1:{there.port}/v1/videos/{name}/content")
    assert content.content == b"fox"
    stopped = stop(place.settings)
    assert stopped is not None and not stopped.killed
    assert place.workers() == []


def test_an_end_in_the_middle_waits_for_the_clip_under_way(place: Place) -> None:
    there = place.start()
    running, waiting = ask(there, place.slow), ask(there, "--clip next")
    until(runs(there, running))
    os.kill(there.pid, signal.SIGTERM)
    until(lambda: httpx.get(f"http://127.0.0.1:{there.port}/readyz").status_code == 503)
    refused = httpx.post(f"http://127.0.0.1:{there.port}/v1/videos", json={"prompt": "x"})
    assert refused.status_code == 503
    place.go_on()
    until(has_ended(place))
    assert place.workers() == []
    again = place.start()
    assert is_made(again, running)()  # by the service before
    assert video(again, running)["attempt"] == 1
    until(is_made(again, waiting))


def test_an_end_does_not_wait_for_ever(place: Place) -> None:
    there = place.start(drain_s=0.5)
    name = ask(there, "--hang")
    until(lambda: video(there, name)["status"] == "in_progress")
    os.kill(there.pid, signal.SIGTERM)
    until(has_ended(place))
    assert place.workers() == []
    again = place.start()
    assert video(again, name)["status"] in {"queued", "in_progress"}  # it is tried again


def test_a_second_signal_ends_it_at_once(place: Place) -> None:
    argv = place.argv(drain_s=600)
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until(lambda: holder(place.settings.state))
        there = holder(place.settings.state)
        assert there is not None
        name = ask(there, "--hang")
        until(lambda: video(there, name)["status"] == "in_progress")
        process.send_signal(signal.SIGINT)
        until(lambda: httpx.get(f"http://127.0.0.1:{there.port}/readyz").status_code == 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_workers_go_on_without_the_service(place: Place, number: int) -> None:
    there = place.start()
    name = ask(there, place.slow)
    until(runs(there, name))
    workers = place.workers()
    os.kill(there.pid, number)
    until(has_ended(place))
    assert place.workers() == workers != []
    again = place.start()
    place.go_on()
    until(is_made(again, name))
    assert video(again, name)["attempt"] == 1
    assert place.workers() == workers


@pytest.mark.slow
def test_of_those_that_start_at_once_one_serves(place: Place, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as free:
        port = port_of(free)
    started = [
        subprocess.Popen(place.argv(port=port), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    until(lambda: sum(one.poll() is None for one in started) == 1)
    until(lambda: holder(place.settings.state))
    there = holder(place.settings.state)
    assert there is not None and there.port == port
    until(is_made(there, ask(there, "--clip fox")))
    assert len(place.workers()) == 1
    assert stop(place.settings) is not None
    codes = []
    for one in started:
        with one:
            assert one.stderr is not None
            codes.append((one.wait(LIMIT_S), "already" in one.stderr.read()))
    assert sorted(codes) == [(0, False), *[(BusyError.exit_code, True)] * 3]


def test_two_do_not_serve_one_folder_or_one_port(place: Place, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as other:
        done = subprocess.run(
            place.argv(port=port_of(other)), cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert done.returncode == BusyError.exit_code
    assert "another program listens on 127.0.0.1" in done.stderr
    there = place.start()
    done = subprocess.run(place.argv(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == BusyError.exit_code
    assert f"process {there.pid}, on port {there.port}, serves" in done.stderr
    assert place.workers() != []
