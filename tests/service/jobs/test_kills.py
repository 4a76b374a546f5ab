"""API and worker are killed at any moment: nothing that was told is lost, nothing is doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.jobs.service import DATABASE, Service
from ltx2_service.values.job import Job, State
from tests.conftest import ROOT
from tests.service.cli.small_serve import judge, settings_in
from tests.service.conftest import until
from tests.service.executors.test_faults import left_of

WORKER = "gpu0"
MOMENTS = ("any", "rename", "write")
_WINDOW_S = 0.004  # about what a clip takes from its last byte to its row
_ENDING_S = 10.0  # that what was told to end may take to be gone
_LONGEST_S = 3.0  # that a moment is waited for: nothing may be under way


@dataclass(frozen=True)
class Toll:
    """What kills cost; that a job failed after three deaths of its worker was promised."""

    lost: int = 0  # clips that were told and are no job, or a job without an end
    doubled: int = 0  # clips that ended twice, or are two files
    half: int = 0  # clips that are shown and not whole
    orphans: tuple[str, ...] = ()  # files of no clip, results that nobody took, processes


class Client:
    """Asks for clips, each under a key of its own, and asks again what no answer came to."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder, self._chance = folder, chance
        self.told: dict[str, str] = {}  # key -> job
        self.hits = 0  # kills that found their moment
        self._asked = 0
        self._unanswered: list[str] = []

    def run(
        self, clips: int, *, killed: str = "", moment: str = "any", at_work: bool = True
    ) -> None:
        """Ask a new API for so many clips and all that are unanswered, and kill who is `killed` at
        that moment; after its first answer where it is to be `at_work`.
        """
        self._unanswered += [f"k{self._asked + at}" for at in range(clips)]
        self._asked += clips
        argv = [sys.executable, "-m", "tests.service.jobs.api_side", str(self._folder)]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as api:
            assert api.stdin is not None and api.stdout is not None
            for key in self._unanswered:
                api.stdin.write(f"{key} --steps 6 --step-s 0.05 --clip {key}\n")
            api.stdin.flush()
            first = api.stdout.readline() if at_work and self._unanswered else ""
            if killed:
                self._await(moment)
                worker = Berth(settings_in(self._folder).state, WORKER).holder()
                if killed != "api" and worker is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                if killed != "worker":
                    api.kill()
            api.stdin.close()
            lines = f"{first}{api.stdout.read()}".splitlines(keepends=True)
            # Half a line of an API that was killed is no answer: its clip is asked for again.
            answers = dict(line.split() for line in lines if line.endswith("\n"))
        for key, job in answers.items():
            assert self.told.setdefault(key, job) == job, "one key made two jobs"
        self._unanswered = [key for key in self._unanswered if key not in self.told]

    def _await(self, moment: str) -> None:
        """Return at a moment: any; while a clip takes its place; while the database is written."""
        if moment == "any":
            time.sleep(self._chance.uniform(0, 0.7))
            self.hits += 1
            return
        look = self._parts if moment == "rename" else self._written
        before, ends_s = look(), time.monotonic() + _LONGEST_S
        while time.monotonic() < ends_s:
            if look() != before:
                self.hits += 1
                break
        time.sleep(self._chance.uniform(0, _WINDOW_S))

    def _parts(self) -> frozenset[str]:
        folder = settings_in(self._folder).clips
        return frozenset(path.name for path in folder.glob("*.part.mp4"))

    def _written(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            log = settings_in(self._folder).state / f"{DATABASE}-wal"
            return log.stat().st_mtime_ns
        return 0


def toll(client: Client, service: Service, jobs: tuple[Job, ...]) -> Toll:
    """What all kills cost, once every job has ended."""
    keys = {job: key for key, job in client.told.items()}
    lost = len(keys.keys() ^ {job.id for job in jobs}) + sum(not job.state.is_end for job in jobs)
    doubled = sum(_ends(service, job) != 1 for job in jobs)
    half, clips = 0, set()
    for job in jobs:
        if job.state is State.COMPLETED:
            assert job.clip is not None
            half += job.clip.read_text() != keys[job.id]
            clips |= {job.clip.name, f"{job.id}.json"}
    settings = service.settings
    files = [path.name for path in settings.clips.iterdir() if path.name not in clips]
    results = [path.name for path in (settings.state / "spool").iterdir()]
    processes = [f"process {left}" for left in left_of(Berth(settings.state, WORKER))]
    return Toll(lost, doubled, half, orphans=(*files, *results, *processes))


def _ends(service: Service, job: Job) -> int:
    return sum(event.kind in {"completed", "failed"} for event in service.events(job.id))


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled(tmp_path: Path, kills: int) -> None:
    client = Client(tmp_path, random.Random(kills))
    try:
        for at in range(kills):
            client.run(
                2,
                killed=("api", "worker", "both")[at % 3],
                moment=MOMENTS[at // 3 % 3] if kills > 3 else MOMENTS[at % 3],
                at_work=at % 4 > 0,
            )
        client.run(0)
        settings = settings_in(tmp_path)
        service = Service(settings, LocalExecutor(settings), judge)
        service.start()
        until(lambda: service.queue().waiting == service.queue().running == 0, 120)
        jobs = service.jobs(limit=10_000).jobs
        service._dispatcher.pause()
        service._executor.stop(10)
        found = toll(client, service, jobs)
        service.leave()
    finally:
        Berth(settings_in(tmp_path).state, WORKER).clear()
    failed = [job.failure.code for job in jobs if job.failure is not None]
    print(f"{kills} kills, {client.hits} at their moment; {len(jobs)} clips, {len(failed)} failed")
    assert len(client.told) == 2 * kills
    assert found == Toll()
    assert set(failed) <= {"worker_crashed"}
