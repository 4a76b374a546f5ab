"""A worker whose API is a test: what it says, and to whom."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth, short_path
from ltx2_service.boundaries.lines import Connection
from ltx2_service.values.messages import (
    Ask,
    Assign,
    Over,
    Refused,
    Standing,
    Stop,
    Superseded,
    Tell,
)
from ltx2_service.worker.__main__ import TAKEN
from tests.conftest import ROOT
from tests.service.executors.conftest import Bench, wait_for


def command(berth: Berth, *more: str) -> list[str]:
    words = ["--state", str(berth.state), "--name", berth.name, *more]
    return [sys.executable, "-m", "ltx2_service.worker", *words]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def worker(bench: Bench) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command(bench.berth, "--beat-s", "0.2"), cwd=ROOT) as process:
        yield process
        process.kill()
    bench.berth.clear()


Connect = Callable[[], Connection]


@pytest.fixture
def connect(bench: Bench, worker: subprocess.Popen[bytes]) -> Iterator[Connect]:
    """As an API does."""
    made: list[Connection] = []

    def connected() -> Connection:
        end_s = time.monotonic() + 30
        while (api := Connection.to(bench.berth.socket)) is None:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        made.append(api)
        return api

    yield connected
    for api in made:
        api.close()


def told(api: Connection, kind: type[Tell]) -> Ask | Tell:
    """Its next word of that kind."""
    while messages := api.messages(30):  # none within this time, or closed
        for message in messages:
            if isinstance(message, kind):
                return message
    raise AssertionError("it says no more")


def standing(api: Connection) -> Standing:
    message = told(api, Standing)
    assert isinstance(message, Standing)
    return message


def test_it_says_how_it_is_now_and_then(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    api = connect()
    assert standing(api) == standing(api) == Standing("", "idle", None, 0, None, ())
    api.send(Stop())
    assert worker.wait(30) == 0
    assert not bench.berth.socket.exists()


def test_a_second_worker_leaves_at_once(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    connect()
    assert subprocess.run(command(bench.berth), cwd=ROOT, check=False).returncode == TAKEN
    assert worker.poll() is None


def test_who_connects_last_is_obeyed(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    first = connect()
    standing(first)
    second = connect()
    assert standing(second).state == "idle"
    told(first, Superseded)
    assert first.messages(30) is None
    second.send(Assign(bench.assignment("a")))
    assert isinstance(over := told(second, Over), Over)
    assert over.ended.failure is None


def test_it_takes_one_attempt_at_a_time(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    api = connect()
    api.send(Assign(bench.assignment("a", "--steps", "2", "--step-s", "0.2")))
    api.send(Assign(bench.assignment("b")))
    assert told(api, Refused) == Refused("b", 1, "it has another in hand")
    assert isinstance(over := told(api, Over), Over)
    assert (over.job, over.ended.failure) == ("a", None)
    api.send(Stop())
    api.send(Assign(bench.assignment("c")))
    assert worker.wait(30) == 0


def test_who_talks_nonsense_is_left(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    connect()
    for line in (b"\xff\xfe\n", b'{"kind": "superseded"}\n', b'{"kind": "assign"}\n'):
        with socket.socket(socket.AF_UNIX) as stranger, short_path(bench.berth.socket) as path:
            stranger.settimeout(30)
            stranger.connect(path)
            stranger.sendall(line)
            while stranger.recv(1 << 16):
                pass
    assert standing(connect()).state == "idle"


def test_who_never_reads_does_not_hold_it_up(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    deaf = connect()
    deaf.send(Assign(bench.assignment("a", "--steps", "1500")))
    wait_for(lambda: bench.spooled() == ["a.1.json"])
    assert standing(connect()).state == "idle"


def test_a_signal_to_end_lets_a_clip_be_finished(
    bench: Bench, worker: subprocess.Popen[bytes], connect: Connect
) -> None:
    api = connect()
    api.send(Assign(bench.assignment("a", "--steps", "4", "--step-s", "0.1")))
    while standing(api).state != "running":
        pass
    os.kill(worker.pid, signal.SIGTERM)
    assert isinstance(over := told(api, Over), Over)
    assert over.ended.failure is None
    assert worker.wait(30) == 0
