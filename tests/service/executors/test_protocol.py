"""What any executor must do."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from ltx2_patcher.values.errors import OutsideError
from tests.service.executors.conftest import Bench, card, wait_for, with_variable


def test_an_attempt_is_made_told_and_settled(bench: Bench) -> None:
    executor, heard = bench.start()
    assignment = bench.assignment("a", "--steps", "3", "--clip", "fox")
    executor.assign(bench.worker, assignment)
    ended = heard.end("a")
    assert (ended.failure, ended.worker_lost, ended.peak_bytes) == (None, False, 7)
    assert bench.clip("a").read_text() == "fox"
    assert not assignment.part.exists()
    told = [(told.stage, told.step, told.steps) for told in heard.progress("a")]
    steps = [("denoising", step, 3) for step in (1, 2, 3)]
    assert told == [("loading", 0, 0), ("denoising", 0, 0), *steps]
    assert list(executor.running()) == [("a", 1, bench.worker)]  # until it is settled
    executor.settled("a", 1)
    assert not executor.running()
    assert bench.spooled() == []
    wait_for(lambda: card(executor).warm == ("model",))
    assert card(executor).base == "1.2.0"


def test_a_worker_can_be_given_another_as_soon_as_the_first_is_told(bench: Bench) -> None:
    executor, heard = bench.start()
    for job in "abc":
        executor.assign(bench.worker, bench.assignment(job))
        assert heard.end(job).failure is None
    assert [len(heard.ends(job)) for job in "abc"] == [1, 1, 1]


def test_one_attempt_at_a_time(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", *bench.slow))
    assert card(executor).job == "a"
    with pytest.raises(OutsideError, match="takes no clip: it is"):
        executor.assign(bench.worker, bench.assignment("b"))
    with pytest.raises(OutsideError, match="there is no worker gpu9"):
        executor.assign("gpu9", bench.assignment("b"))
    bench.go_on()
    assert heard.end("a").failure is None
    assert not heard.ends("b")


def test_latents_can_be_read_when_they_are_told(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--steps", "9"))
    assert heard.end("a").failure is None
    *older, before, last = [told.latents for told in heard.progress("a") if told.step]
    assert before is not None and before.read_bytes() == b"latents"
    assert last is not None and last.read_bytes() == b"latents"
    assert not any(path is not None and path.exists() for path in older)


def test_a_cancelled_attempt_ends_at_its_next_point(bench: Bench) -> None:
    executor, heard = bench.start()
    assignment = bench.assignment("a", "--steps", "1000", "--step-s", "0.02")
    executor.assign(bench.worker, assignment)
    heard.step("a")
    executor.cancel("a", 7)  # another attempt
    heard.step("a", 5)
    executor.cancel("a", 1)
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "cancelled"
    assert not ended.worker_lost
    assert not assignment.part.exists() and not bench.clip("a").exists()
    executor.assign(bench.worker, bench.assignment("b"))
    assert heard.end("b").failure is None


def test_an_attempt_is_cancelled_before_its_script_begins(bench: Bench) -> None:
    executor, heard = bench.start()
    slow = with_variable(bench.renderer, "FAKE_START_S", "60")
    executor.assign(bench.worker, bench.assignment("a", renderer=slow))
    wait_for(lambda: card(executor).state == "starting")
    executor.cancel("a", 1)
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "cancelled"
    executor.assign(
        bench.worker, bench.assignment("b")
    )  # whose renderer takes the place of the slow one
    executor.cancel("b", 1)
    assert heard.end("b")


def test_an_attempt_that_runs_too_long_is_ended(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--hang", run_limit_s=0.3))
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "timeout"
    assert not ended.worker_lost
    executor.assign(bench.worker, bench.assignment("b"))
    assert heard.end("b").failure is None


@pytest.mark.parametrize(
    ("word", "code", "lost"),
    [
        ("ValueError: bad", "script_failed", False),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate", "out_of_memory", False),
        ("RuntimeError: CUDA error: out of memory", "out_of_memory", False),
        ("RuntimeError: CUDA error: an illegal memory access", "worker_crashed", True),
    ],
)
def test_what_a_script_fails_with(bench: Bench, word: str, code: str, lost: bool) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("before"))
    assert heard.end("before").failure is None
    executor.assign(bench.worker, bench.assignment("a", "--fail", word))
    ended = heard.end("a")
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.message, ended.worker_lost) == (code, word, lost)
    wait_for(lambda: card(executor).warm == (() if "CUDA error" in word else ("model",)))
    executor.assign(bench.worker, bench.assignment("next"))
    assert heard.end("next").failure is None


def test_a_script_that_leaves_no_clip_has_failed(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--silent"))
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "script_failed"
    assert "no clip" in ended.failure.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_renderer_that_dies_costs_an_attempt(bench: Bench, number: int) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--die", str(int(number))))
    ended = heard.end("a")
    assert ended.worker_lost and ended.failure is not None
    assert f"ended by signal {int(number)}" in ended.failure.message
    executor.assign(bench.worker, bench.assignment("a", token=2))
    assert heard.end("a", 2).failure is None


def test_a_renderer_that_does_not_start_costs_an_attempt(bench: Bench) -> None:
    executor, heard = bench.start()
    broken = with_variable(bench.renderer, "FAKE_START_CODE", "3")
    executor.assign(bench.worker, bench.assignment("a", renderer=broken))
    ended = heard.end("a")
    assert ended.worker_lost and ended.failure is not None
    assert "did not start: it ended with 3" in ended.failure.message
    missing = replace(bench.renderer, argv=("/nowhere/python",))
    executor.assign(bench.worker, bench.assignment("b", renderer=missing))
    ended = heard.end("b")
    assert ended.failure is not None and "/nowhere/python was not found" in ended.failure.message
    executor.assign(bench.worker, bench.assignment("c"))
    assert heard.end("c").failure is None


def test_another_base_is_another_renderer(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a"))
    assert heard.end("a").failure is None
    other = replace(bench.renderer, base="1.0.0")
    executor.assign(bench.worker, bench.assignment("b", renderer=other))
    assert heard.end("b").failure is None
    wait_for(lambda: card(executor).base == "1.0.0")
    newer = replace(other, series="newer")
    executor.assign(
        bench.worker, bench.assignment("c", "--die", str(int(signal.SIGTERM)), renderer=newer)
    )
    assert heard.end("c").worker_lost  # that one died, of code that was read anew


def test_a_result_is_told_again_where_its_listener_failed(bench: Bench) -> None:
    executor, heard = bench.start(replace(bench.settings, lease_s=1.0))
    heard.fails = True
    executor.assign(bench.worker, bench.assignment("a"))
    assert heard.end("a").failure is None
    assert not heard.fails
    assert len(heard.ends("a")) == 1


def test_stopping_lets_a_clip_be_finished(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", "--steps", "3", "--step-s", "0.1"))
    heard.step("a")
    executor.stop(drain_s=30.0)
    assert heard.end("a").failure is None
    assert bench.berth.holder() is None


def test_stopping_does_not_wait_for_ever(bench: Bench) -> None:
    executor, heard = bench.start()
    assignment = bench.assignment("a", "--hang")
    executor.assign(bench.worker, assignment)
    wait_for(lambda: heard.progress("a"))
    executor.stop(drain_s=0.2)
    assert heard.end("a").worker_lost
    assert bench.berth.holder() is None


def test_clips_end_while_nobody_listens(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", *bench.slow))
    heard.step("a")
    executor.leave()
    bench.go_on()
    wait_for(lambda: bench.spooled() == ["a.1.json"])
    assert not heard.ends("a")
    again, heard_again = bench.start()
    assert heard_again.end("a").failure is None
    assert list(again.running()) == [("a", 1, bench.worker)]
    again.settled("a", 1)
    assert bench.spooled() == []


def test_a_clip_is_heard_of_again_while_it_runs(bench: Bench) -> None:
    executor, heard = bench.start()
    executor.assign(bench.worker, bench.assignment("a", *bench.slow))
    heard.step("a")
    executor.leave()
    again, heard_again = bench.start()
    assert list(again.running()) == [("a", 1, bench.worker)]
    assert card(again).job == "a"
    bench.go_on()
    assert heard_again.end("a").failure is None
    assert heard_again.progress("a")
