"""Attempts that are lost, given up, taken over or judged anew."""

from __future__ import annotations

from pathlib import Path

from ltx2_service.jobs.service import Service
from ltx2_service.values.job import MOST_ATTEMPTS, State, Wanted
from ltx2_service.values.refusals import (
    UnknownModel,
)
from tests.service.conftest import Begin, ended, judge, settings_in, until
from tests.service.fake_executor import FakeExecutor


def test_a_job_that_always_loses_its_worker_fails_and_the_next_is_made(begin: Begin) -> None:
    executor = FakeExecutor(dies_of="poison")
    service = begin(executor)
    bad, _ = service.accept(Wanted("poison"))
    good, _ = service.accept(Wanted("a fox"))
    failed = ended(service, bad)
    assert failed.failure is not None and failed.failure.code == "worker_crashed"
    assert failed.attempt == MOST_ATTEMPTS
    assert len([one for one in executor.assigned if one.job == bad.id]) == MOST_ATTEMPTS
    assert ended(service, good).state is State.COMPLETED


def test_a_worker_that_is_gone_without_a_word_costs_a_lease_and_an_attempt(
    tmp_path: Path,
) -> None:
    executor = FakeExecutor(holds=True)
    settings = settings_in(tmp_path)
    object.__setattr__(settings, "lease_s", 0.2)
    service = Service(settings, executor, judge)
    service.start()
    job, _ = service.accept(Wanted("a fox"))
    until(lambda: service.job(job.id).step > 0)
    executor.holds = False
    executor.forget(job.id)
    done = ended(service, job)
    assert done.state is State.COMPLETED and done.attempt == 2
    assert done.clip is not None and done.clip.read_text() == "a fox2"
    service.stop(1)


def test_an_unreachable_worker_costs_no_attempt(begin: Begin) -> None:
    executor = FakeExecutor(2)
    executor.unreachable = {"gpu0"}
    service = begin(executor)
    done = ended(service, service.accept(Wanted("a fox"))[0])
    assert done.attempt == 1 and done.worker == "gpu1"


def test_the_next_service_takes_what_runs_what_ended_and_what_waits(begin: Begin) -> None:
    executor = FakeExecutor(2, holds=True)
    first = begin(executor)
    kept, _ = first.accept(Wanted("kept"))
    lost, _ = first.accept(Wanted("lost"))
    waits, _ = first.accept(Wanted("waits"))
    until(lambda: len(executor.running()) == 2)
    until(lambda: first.job(lost.id).step > 0 and first.job(kept.id).step > 0)
    first.leave()
    executor.forget(lost.id)
    second = begin(executor)
    assert second.job(kept.id).state is State.RUNNING
    assert second.job(kept.id).attempt == 1
    assert (lost.id, 1) in executor.ends_settled  # half a result of it may lie in the spool
    until(lambda: second.job(lost.id).attempt == 2 or second.job(waits.id).attempt == 1)
    second.leave()
    executor.let_go()  # nobody listens: the results lie in the spool
    until(lambda: not any(card.job for card in executor.cards()))
    third = begin(executor)
    assert ended(third, kept).state is State.COMPLETED
    assert third.job(kept.id).attempt == 1
    for job in (lost, waits):
        assert ended(third, job).state is State.COMPLETED
    assert third.job(lost.id).attempt == 2
    until(lambda: executor.running() == [])
    clips = {path.name for path in third.settings.clips.glob("*.mp4")}
    assert len(clips) == 3


def test_stopping_gives_up_what_takes_too_long_without_counting_it(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    first = begin(executor)
    job, _ = first.accept(Wanted("slow"))
    waits, _ = first.accept(Wanted("waits"))
    until(lambda: first.job(job.id).step > 0)
    first.stop(0.05)
    second = begin(FakeExecutor())
    for one in (job, waits):
        done = ended(second, one)
        assert done.state is State.COMPLETED and done.attempt == 1


def test_what_an_earlier_service_accepted_is_judged_anew(tmp_path: Path) -> None:
    executor = FakeExecutor(holds=True)
    first = Service(settings_in(tmp_path), executor, judge)
    first.start()
    running, _ = first.accept(Wanted("running"))
    until(lambda: first.job(running.id).step > 0)
    fast, _ = first.accept(Wanted("fast"))
    gone, _ = first.accept(Wanted("gone", model="fine"))
    first.leave()

    def stricter(wanted: Wanted) -> object:
        if wanted.model == "fine":
            raise UnknownModel("fine", ("fast",))
        found = judge(wanted)
        object.__setattr__(found, "series", "series-2")
        return found

    second = Service(settings_in(tmp_path), executor, stricter)  # type: ignore[arg-type]
    second.start()
    executor.let_go()
    assert ended(second, running).series == "series-1"
    assert ended(second, fast).series == "series-2"
    failed = ended(second, gone)
    assert failed.failure is not None and failed.failure.code == "refused"
    assert "There is no model 'fine' here." in failed.failure.message
    second.stop(1)
