"""What is killed, stopped or full: each attempt has an end, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries import link
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.executor import Executor
from tests.conftest import ROOT
from tests.service.executors.conftest import (
    Bench,
    Heard,
    card,
    in_hand,
    wait_for,
    with_variable,
)

SLOW = ("--steps", "1000", "--step-s", "0.02")


def left_of(berth: Berth) -> list[str]:
    """The processes that a worker started."""
    marks = {f"{name}={value}".encode() for name, value in berth.mark.items()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marks & set((folder / "environ").read_bytes().split(b"\0")):
                found.append(folder.name)
    return found


def worker_pid(bench: Bench) -> int:
    pid = bench.berth.holder()
    assert pid is not None
    return pid


def require_fine(executor: Executor, heard: Heard, bench: Bench, job: str, token: int = 1) -> None:
    """A worker takes the next attempt, and makes it."""
    wait_for(lambda: card(executor).state == "idle")
    executor.assign(bench.worker, bench.assignment(job, token=token))
    assert heard.end(job, token).failure is None
    assert bench.clip(job).read_text() == "clip"


@pytest.mark.parametrize("stage", ["idle", "starting", "running"])
def test_a_killed_worker_is_replaced(bench: Bench, stage: str) -> None:
    executor, heard = bench.start()
    if stage == "starting":
        slow = with_variable(bench.renderer, "FAKE_START_S", "60")
        executor.assign(bench.worker, bench.assignment("a", renderer=slow))
        wait_for(lambda: left_of(bench.berth))
    if stage == "running":
        executor.assign(bench.worker, bench.assignment("a", *SLOW))
        heard.step("a")
    pid = worker_pid(bench)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: bench.berth.holder() not in {None, pid})
    if stage != "idle":
        ended = heard.end("a")
        assert ended.worker_lost and ended.failure is not None
        assert ended.failure.code == "worker_crashed"
        assert left_of(bench.berth) == []  # it no longer writes the clip
        require_fine(executor, heard, bench, "b")
        return
    # A death that the executor has not heard of yet costs an attempt.
    wait_for(lambda: card(executor).state == "idle")
    executor.assign(bench.worker, bench.assignment("b"))
    if heard.end("b").worker_lost:
        require_fine(executor, heard, bench, "b", token=2)
    else:
        assert bench.clip("b").read_text() == "clip"
    assert len(heard.ends("a")) == (stage != "idle")


def test_a_worker_that_died_unseen_leaves_nothing_to_its_successor(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--hang"))
    wait_for(lambda: heard.progress("a"))
    executor.leave()
    os.kill(worker_pid(bench), signal.SIGKILL)
    wait_for(lambda: bench.berth.holder() is None)
    assert left_of(bench.berth)  # deaf to the end of its input
    again, heard_again = bench.start()
    wait_for(lambda: not in_hand(again, heard_again))
    assert left_of(bench.berth) == []
    require_fine(again, heard_again, bench, "a", token=2)


def test_a_stopped_worker_is_replaced_and_ends_when_it_is_woken(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, lease_s=0.5))
    executor.assign(bench.worker, bench.assignment("a", *SLOW))
    heard.step("a")
    stopped = worker_pid(bench)
    os.kill(stopped, signal.SIGSTOP)
    assert heard.end("a").worker_lost
    with contextlib.suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    assert left_of(bench.berth) == []
    require_fine(executor, heard, bench, "a", token=2)
    assert len(heard.ends("a", 1)) == 1


def test_a_worker_that_was_stopped_with_its_clip_done_has_made_it(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, lease_s=0.5))
    pid = worker_pid(bench)
    executor.leave()  # so that only the spool tells
    holding = bench.start(replace(bench.settings, lease_s=0.5))
    holding[0].assign(bench.worker, bench.assignment("a", "--steps", "1"))
    holding[0].leave()
    wait_for(lambda: bench.spooled() == ["a.1.json"])
    os.kill(pid, signal.SIGSTOP)
    again, heard = bench.start(replace(bench.settings, lease_s=0.5))
    assert heard.end("a").failure is None
    assert worker_pid(bench) != pid
    require_fine(again, heard, bench, "b")


def test_a_silent_worker_is_given_nothing_until_it_speaks(
    local_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_SILENT_S", 1.0)  # two beats
    executor, heard = local_bench.start(replace(local_bench.settings, lease_s=3.0))
    pid = worker_pid(local_bench)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: card(executor).state == "lost")
    with pytest.raises(OutsideError, match="takes no clip: it is lost"):
        executor.assign(local_bench.worker, local_bench.assignment("a"))
    os.kill(pid, signal.SIGCONT)
    require_fine(executor, heard, local_bench, "b")
    assert worker_pid(local_bench) == pid


def test_a_stopped_worker_is_found_so_at_the_start(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", *SLOW))
    heard.step("a")
    executor.leave()
    os.kill(worker_pid(bench), signal.SIGSTOP)
    again, heard_again = bench.start(replace(bench.settings, lease_s=0.5))
    assert not in_hand(again, heard_again)
    assert left_of(bench.berth) == []
    require_fine(again, heard_again, bench, "a", token=2)


def test_a_late_result_carries_its_own_token(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, lease_s=0.5))
    executor.assign(bench.worker, bench.assignment("a", "--die", "9"))
    assert heard.end("a", 1).worker_lost
    executor.settled("a", 1)
    executor.assign(bench.worker, bench.assignment("a", token=2))
    assert heard.end("a", 2).failure is None
    spool = bench.settings.shared / "spool"
    late = (spool / "a.2.json").read_bytes().replace(b'"token": 2', b'"token": 1')
    (spool / "a.1.json").write_bytes(late)
    wait_for(lambda: len(heard.ends("a", 1)) == 2)  # for the store to see that it counts no more
    assert len(heard.ends("a", 2)) == 1
    executor.settled("a", 1)
    executor.settled("a", 2)
    assert bench.spooled() == []


def test_the_executor_that_came_last_has_the_workers(bench: Bench) -> None:
    first, heard_first = bench.start()
    first.assign(bench.worker, bench.assignment("a", *bench.slow))
    heard_first.step("a")
    second, heard = bench.start()
    assert list(second.running()) == [("a", 1, bench.worker)]
    wait_for(lambda: card(first).state == "lost")
    with pytest.raises(OutsideError, match="takes no clip: it is"):
        first.assign(bench.worker, bench.assignment("b"))
    bench.go_on()
    assert heard.end("a").failure is None
    assert not heard_first.ends("a")
    require_fine(second, heard, bench, "b")


def test_two_executors_at_once_bring_up_one_worker(local_bench: Bench) -> None:
    executors = [local_bench.executor() for _ in range(4)]
    for executor in executors:
        executor.start(Heard())
    wait_for(lambda: [card(executor).state for executor in executors].count("idle") == 1)
    pids = set()
    for _ in range(20):
        pids.add(worker_pid(local_bench))
        time.sleep(0.01)
    assert len(pids) == 1


@pytest.mark.parametrize("when", ["running", "ended"])
def test_a_clip_outlives_a_killed_api(local_bench: Bench, tmp_path: Path, when: str) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.service.executors.api_side",
            str(tmp_path),
            "a",
            *local_bench.slow,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as api:
        assert api.stdout is not None
        assert next(api.stdout).startswith("a 1 Progress(stage='loading'")
        api.kill()
    if when == "ended":
        local_bench.go_on()
        wait_for(lambda: local_bench.spooled() == ["a.1.json"])
    executor, heard = local_bench.start()
    assert list(executor.running()) == [("a", 1, local_bench.worker)]
    local_bench.go_on()
    assert heard.end("a").failure is None
    assert local_bench.clip("a").read_text() == "clip"
    executor.settled("a", 1)
    require_fine(executor, heard, local_bench, "b")


@pytest.mark.slow  # tests/service/worker/test_attempt.py has it with less patience
def test_a_renderer_deaf_to_a_cancel_is_replaced(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--hang"))
    wait_for(lambda: heard.progress("a"))
    asked_s = time.monotonic()
    executor.cancel("a", 1)
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "cancelled"
    assert not ended.worker_lost
    assert time.monotonic() - asked_s > 9.9
    assert left_of(bench.berth) == []
    require_fine(executor, heard, bench, "b")


def test_a_full_disk_keeps_no_result_back(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, lease_s=1.0))
    executor.assign(bench.worker, bench.assignment("a", "--step-s", "0.3"))
    heard.step("a")
    _, most = resource.prlimit(worker_pid(bench), resource.RLIMIT_FSIZE)
    resource.prlimit(worker_pid(bench), resource.RLIMIT_FSIZE, (0, most))
    assert heard.end("a").failure is None  # the clip is whole: its renderer has room
    assert bench.spooled() == []
    executor.leave()
    again, heard_again = bench.start()
    assert heard_again.end("a").failure is None
    resource.prlimit(worker_pid(bench), resource.RLIMIT_FSIZE, (most, most))
    wait_for(lambda: bench.spooled() == ["a.1.json"])
    again.settled("a", 1)
    assert bench.spooled() == []
    require_fine(again, heard_again, bench, "b")


def test_a_clip_that_can_not_take_its_place_has_failed(bench: Bench) -> None:
    executor, heard = bench.start()
    bench.clip("a").mkdir()
    executor.assign(bench.worker, bench.assignment("a"))
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "not_written"
    assert str(bench.clip("a")) in ended.failure.message
    require_fine(executor, heard, bench, "b")


def test_a_worker_of_older_code_is_replaced_once_it_is_idle(bench: Bench) -> None:
    old = bench.executor(code="old")
    heard = Heard()
    old.start(heard)
    wait_for(lambda: card(old).state == "idle")
    older = worker_pid(bench)
    old.assign(bench.worker, bench.assignment("a", *bench.slow))
    heard.step("a")
    old.leave()
    executor, heard_again = bench.start()
    assert worker_pid(bench) == older
    bench.go_on()
    assert heard_again.end("a").failure is None
    wait_for(lambda: bench.berth.holder() not in {None, older})
    require_fine(executor, heard_again, bench, "b")


def test_a_worker_that_nobody_wants_ends(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, orphan_s=0.2, lease_s=1.0))
    executor.assign(bench.worker, bench.assignment("a", "--steps", "5", "--step-s", "0.1"))
    heard.step("a")
    executor.leave()
    wait_for(lambda: bench.berth.holder() is None)
    assert bench.spooled() == ["a.1.json"]  # it made its clip first
    assert left_of(bench.berth) == []
    again, heard_again = bench.start()
    assert heard_again.end("a").failure is None
    again.settled("a", 1)


def test_a_state_folder_may_lie_deep(bench: Bench) -> None:
    deep = bench.settings.state.joinpath(*["a-rather-long-name"] * 8)
    bench.settings = replace(bench.settings, state=deep)
    executor, heard = bench.start()
    assert len(str(bench.berth.socket)) > 108
    require_fine(executor, heard, bench, "a")


def test_the_sockets_are_the_service_s_own(bench: Bench) -> None:
    bench.start()
    assert bench.berth.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_at_any_moment(bench: Bench, kills: int) -> None:
    """Each attempt has one end, each job a whole clip, and no process is left."""
    chance = random.Random(kills)
    executor, heard = bench.start()
    done = 0
    for number in range(kills):
        job, token = f"job{number}", 1
        while True:
            wait_for(lambda: card(executor).state == "idle")
            with contextlib.suppress(OutsideError):
                executor.assign(
                    bench.worker, bench.assignment(job, "--step-s", "0.02", token=token)
                )
                if token == 1:
                    time.sleep(chance.uniform(0, 0.12))
                    if (pid := bench.berth.holder()) is not None:
                        os.kill(pid, signal.SIGKILL)
                ended = heard.end(job, token)
                executor.settled(job, token)
                if not ended.worker_lost:
                    break
                token += 1
        assert ended.failure is None
        assert bench.clip(job).read_text() == "clip"
        done += all(len(heard.ends(job, number)) == 1 for number in range(1, token + 1))
    assert done == kills
    assert bench.spooled() == []
    executor.stop(drain_s=10.0)
    assert left_of(bench.berth) == []
