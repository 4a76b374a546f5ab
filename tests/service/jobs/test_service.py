from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import MOST_ATTEMPTS, Picture, State, Wanted
from ltx2_service.values.refusals import (
    Draining,
    KeyTaken,
    NoSuchJob,
    QueueFull,
    UnknownCard,
    UnknownModel,
)
from tests.conftest import ROOT
from tests.service.conftest import Begin, ended, judge, settings_in, until
from tests.service.fake_executor import STEPS, FakeExecutor


def test_a_clip_is_made_and_its_settings_lie_beside_it(begin: Begin) -> None:
    service = begin(FakeExecutor())
    job, new = service.accept(Wanted("a fox", owner="ann", priority=2))
    assert new and job.state is State.QUEUED and job.wanted.model == "fast"
    assert job.wanted.seed is not None and job.wanted.width == 768
    done = ended(service, job)
    assert done.state is State.COMPLETED and done.attempt == 1 and done.worker == "gpu0"
    assert done.clip is not None and done.clip.read_text() == "a fox1"
    beside = json.loads(done.clip.with_suffix(".json").read_text())
    assert beside["prompt"] == "a fox" and beside["seed"] == job.wanted.seed
    assert "owner" not in beside
    assert sorted(path.name for path in done.clip.parent.iterdir()) == [
        f"{job.id}.json",
        f"{job.id}.mp4",
    ]
    assert [event.kind for event in service.events(job.id)] == [
        "queued",
        "running",
        "progress",
        "completed",
    ]


def test_a_long_clip_may_run_for_longer_than_its_model_says(begin: Begin) -> None:
    executor = FakeExecutor()
    service = begin(executor)
    for origin in ("v1", "own"):
        job, _ = service.accept(Wanted("a fox", num_frames=10_001, origin=origin))
        ended(service, job)
    long, usual = executor.assigned
    assert long.run_limit_s > usual.run_limit_s == service.settings.models[0].run_limit_s


@pytest.mark.parametrize("logs_prompts", [False, True])
def test_prompts_are_logged_where_that_is_asked_for(
    begin: Begin, caplog: pytest.LogCaptureFixture, logs_prompts: bool
) -> None:
    service = begin(FakeExecutor())
    service.settings = replace(service.settings, logs_prompts=logs_prompts)
    with caplog.at_level("INFO"):
        job, _ = service.accept(Wanted("a secret fox"))
        ended(service, job)
    assert f"{job.id} accepted" in caplog.text
    assert ("secret" in caplog.text) is logs_prompts


def test_events_go_on_from_a_number_and_wake_who_waits(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    service = begin(executor)
    first, _ = service.accept(Wanted("first"))
    second, _ = service.accept(Wanted("second"))
    woken = threading.Event()
    end = service.subscribe(second.id, woken.set)
    until(lambda: any(event.kind == "place" for event in service.events(second.id)))
    assert woken.is_set()
    seen = service.events(second.id)[-1].number
    assert service.events(second.id, seen) == []
    executor.let_go()
    ended(service, second)
    kinds = [event.kind for event in service.events(second.id, seen)]
    assert kinds[0] == "running" and kinds[-1] == "completed"
    end()
    assert service._listeners.heard() == frozenset()
    assert ended(service, first).state is State.COMPLETED


def test_one_key_makes_one_job_however_often_it_comes(begin: Begin) -> None:
    service = begin(FakeExecutor(2))
    wanted = Wanted("a fox", key="k", owner="ann")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: service.accept(wanted), range(100)))
    assert len({job.id for job, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    other, new = service.accept(Wanted("a fox", key="k", owner="bob"))
    assert new and other.id != answers[0][0].id
    with pytest.raises(KeyTaken):
        service.accept(Wanted("a cat", key="k", owner="ann"))


def test_a_key_knows_the_same_picture_under_another_name(begin: Begin) -> None:
    service = begin(FakeExecutor())
    uploads = service.settings.state / "uploads"
    uploads.mkdir()
    (uploads / "1.png").write_bytes(b"picture")
    (uploads / "2.png").write_bytes(b"picture")
    job, _ = service.accept(Wanted("x", pictures=(Picture(uploads / "1.png"),), key="k"))
    again, new = service.accept(Wanted("x", pictures=(Picture(uploads / "2.png"),), key="k"))
    assert again.id == job.id and not new
    assert not (uploads / "2.png").exists()
    (uploads / "3.png").write_bytes(b"another")
    with pytest.raises(KeyTaken):
        service.accept(Wanted("x", pictures=(Picture(uploads / "3.png"),), key="k"))
    ended(service, job)
    service.delete(job.id)
    assert not (uploads / "1.png").exists()


def test_what_is_refused_leaves_nothing(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    service = begin(executor, queued=1)
    running, _ = service.accept(Wanted("one"))
    until(lambda: service.job(running.id).state is State.RUNNING)
    service.accept(Wanted("two"))
    with pytest.raises(QueueFull) as full:
        service.accept(Wanted("three"))
    assert 1 <= full.value.retry_after_s <= 60
    with pytest.raises(UnknownModel):
        service.accept(Wanted("x", model="none"))
    with pytest.raises(UnknownCard):
        service.accept(Wanted("x", gpu=7))
    service.drain()
    with pytest.raises(Draining):
        service.accept(Wanted("x"))
    assert len(service.jobs().jobs) == 2
    service._draining = False


def test_cancel_in_each_state(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    service = begin(executor)
    running, _ = service.accept(Wanted("one"))
    waiting, _ = service.accept(Wanted("two"))
    until(lambda: service.job(running.id).step > 0)
    failed = service.cancel(waiting.id)
    assert failed.state is State.FAILED and failed.failure is not None
    assert failed.failure.code == "cancelled"
    assert service.delete(running.id).cancels
    done = ended(service, running)
    assert done.failure is not None and done.failure.code == "cancelled"
    assert service.cancel(running.id) == done
    executor.let_go()
    third, _ = service.accept(Wanted("three"))
    clip = ended(service, third).clip
    assert clip is not None and service.cancel(third.id).state is State.COMPLETED
    service.delete(third.id)
    assert list(clip.parent.iterdir()) == []
    for call in (service.job, service.cancel, service.delete, service.events):
        with pytest.raises(NoSuchJob):
            call(third.id)


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


def test_a_clock_that_jumps_fails_nothing(tmp_path: Path) -> None:
    now_s = [1e9]
    executor = FakeExecutor(holds=True)
    service = Service(settings_in(tmp_path), executor, judge, lambda: now_s[0])
    service.start()
    first, _ = service.accept(Wanted("one"))
    until(lambda: service.job(first.id).step > 0)
    now_s[0] += 400 * 86_400
    second, _ = service.accept(Wanted("two"))
    left_s = service.left_s(service.job(first.id))
    assert left_s is not None and left_s >= 1
    now_s[0] -= 800 * 86_400
    executor.let_go()
    for job in (first, second):
        done = ended(service, job)
        assert done.state is State.COMPLETED and done.attempt == 1
    assert [job.id for job in service.jobs(newest_first=False).jobs] == [first.id, second.id]
    service.stop(1)


def test_lists_go_page_by_page(begin: Begin) -> None:
    service = begin(FakeExecutor())
    made = [service.accept(Wanted(str(at), owner="ab"[at % 2]))[0].id for at in range(5)]
    page = service.jobs(limit=2)
    assert [job.id for job in page.jobs] == made[:-3:-1] and page.has_more
    page = service.jobs(after=page.jobs[-1].id, limit=3)
    assert [job.id for job in page.jobs] == made[2::-1] and not page.has_more
    own = service.jobs(owner="a", newest_first=False)
    assert [job.id for job in own.jobs] == made[::2]
    with pytest.raises(NoSuchJob):
        service.jobs(after="video_none")


def test_places_and_times_are_those_of_the_line(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    service = begin(executor)
    running, _ = service.accept(Wanted("running"))
    until(lambda: service.job(running.id).step > 0)
    low = service.accept(Wanted("low"))[0]
    high = service.accept(Wanted("high", priority=1))[0]
    until(lambda: (service.place(high), service.place(low)) == (0, 1))
    assert service.place(running) == 0
    times = [service.left_s(service.job(job.id)) for job in (running, high, low)]
    assert None not in times and times == sorted(times, key=float)  # type: ignore[arg-type]
    assert service.queue().waiting == 2 and service.queue().running == 1
    assert service.queue().ready
    executor.let_go()
    ended(service, low)
    assert [one.job for one in executor.assigned] == [running.id, high.id, low.id]


def test_what_the_disk_does_not_take_is_taken_once_it_does(begin: Begin) -> None:
    executor = FakeExecutor(holds=True)
    service = begin(executor)
    job, _ = service.accept(Wanted("a fox"))
    until(lambda: service.job(job.id).step == STEPS)
    service._store._database._base.execute("pragma query_only = on")
    executor.let_go()
    until(lambda: executor.cards()[0].state == "idle")
    with pytest.raises(OutsideError, match="can't be used"):
        service.accept(Wanted("another"))
    assert service.job(job.id).state is State.RUNNING
    assert executor.running() == [(job.id, 1, "gpu0")]  # the spool keeps it
    service._store._database._base.execute("pragma query_only = off")
    done = ended(service, job)
    assert done.state is State.COMPLETED and done.attempt == 1
    assert len(service.jobs().jobs) == 1


def test_a_clip_that_the_disk_does_not_take_fails_alone(tmp_path: Path) -> None:
    """Files may not grow beyond a limit, in a process of its own."""
    code = """
import resource, sys
from pathlib import Path
from ltx2_patcher.values.errors import OutsideError
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import Wanted
from tests.service.conftest import ended, judge, settings_in
from tests.service.fake_executor import STEPS, FakeExecutor
executor = FakeExecutor()
executor.clip_bytes = 4 * 1024**2
service = Service(settings_in(Path(sys.argv[1])), executor, judge)
service.start()
resource.setrlimit(resource.RLIMIT_FSIZE, (1024**2, resource.RLIM_INFINITY))
failed = ended(service, service.accept(Wanted("large"))[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
good = ended(service, service.accept(Wanted("large"))[0])
print(failed.failure.code, good.state.value, *sorted(p.suffix for p in good.clip.parent.iterdir()))
service.stop(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["no_space", "completed", ".json", ".mp4"]


@pytest.mark.parametrize("jobs", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_and_files_stay_flat_however_many_clips_are_made(tmp_path: Path, jobs: int) -> None:
    executor = FakeExecutor(4)
    service = Service(settings_in(tmp_path, queued=200), executor, judge)
    service.start()
    rss: list[int] = []
    files: list[int] = []
    for at in range(jobs):
        until(lambda: service.queue().waiting < 100, 60)
        job, _ = service.accept(Wanted(f"fox {at}", owner=str(at % 3)))
        if at % 10 == 0:
            service.subscribe(job.id, lambda: None)()
            service.left_s(job)
        if at in {jobs // 3, jobs - 1}:
            rss.append(_rss_bytes())
            files.append(len(list(Path("/proc/self/fd").iterdir())))
    until(lambda: service.queue().waiting == service.queue().running == 0, 60)
    assert service._store.counts().running == 0
    done = service.jobs(limit=jobs + 1).jobs
    assert len(done) == jobs and all(job.state is State.COMPLETED for job in done)
    assert rss[1] - rss[0] < 8 * 1024**2
    assert files[1] - files[0] < 8  # a clip that is written just now
    for held in (
        service._dispatcher._busy,
        service._dispatcher._inbox,
        service._dispatcher._stale,
        service._dispatcher._places,
        service._listeners._wakes,
        service._previews._latents,
        executor._spool,
    ):
        assert len(held) == 0
    service.stop(1)


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_what_keeps_all_workers_away_is_told(begin: Begin) -> None:
    executor = FakeExecutor()
    service = begin(executor)
    assert service.queue().ready
    executor.troubled = "The head does not answer."
    queue = service.queue()
    assert (queue.ready, queue.why_not) == (False, "The head does not answer.")
