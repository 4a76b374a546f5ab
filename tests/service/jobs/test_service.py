from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_service.jobs.service import Service
from ltx2_service.values.job import Picture, State, Wanted
from ltx2_service.values.refusals import (
    Draining,
    KeyTaken,
    NoSuchJob,
    QueueFull,
    UnknownCard,
    UnknownModel,
)
from tests.service.conftest import Begin, ended, judge, settings_in, until
from tests.service.fake_executor import FakeExecutor


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


def test_what_keeps_all_workers_away_is_told(begin: Begin) -> None:
    executor = FakeExecutor()
    service = begin(executor)
    assert service.queue().ready
    executor.troubled = "The head does not answer."
    queue = service.queue()
    assert (queue.ready, queue.why_not) == (False, "The head does not answer.")
