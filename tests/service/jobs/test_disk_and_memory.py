"""What a service does when its disk is full, and what it holds of disk and memory in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import State, Wanted
from tests.conftest import ROOT
from tests.service.conftest import Begin, ended, judge, settings_in, until
from tests.service.fake_executor import STEPS, FakeExecutor


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
