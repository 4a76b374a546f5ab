"""API and worker are killed at any moment: nothing that was told is lost, nothing is doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.jobs.service import Service
from ltx2_service.rules.names import attempt_of
from ltx2_service.values.job import State
from tests.conftest import ROOT
from tests.service.cli.small_serve import judge, settings_in
from tests.service.conftest import until

WORKER = "gpu0"


class Client:
    """Asks for clips, each under a key of its own, and asks again what no answer came to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.told: dict[str, str] = {}  # key -> job
        self._asked = 0
        self._unanswered: list[str] = []

    def run(
        self,
        clips: int,
        *,
        kill_after_s: float | None = None,
        killed: str = "",
        at_work: bool = True,
    ) -> None:
        """Ask a new API for so many clips and all that are unanswered, and kill in the middle: so
        long after its start, or after its first answer where it is to be `at_work`.
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
            if kill_after_s is None:
                api.stdin.close()
            else:
                time.sleep(kill_after_s)
                worker = Berth(settings_in(self._folder).state, WORKER).holder()
                if killed != "api" and worker is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                if killed != "worker":
                    api.kill()
                api.stdin.close()
            lines = f"{first}{api.stdout.read()}".splitlines()
            answers = dict(line.split() for line in lines)
        for key, job in answers.items():
            assert self.told.setdefault(key, job) == job, "one key made two jobs"
        self._unanswered = [key for key in self._unanswered if key not in self.told]


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    client = Client(tmp_path)
    try:
        for at in range(kills):
            client.run(
                2,
                kill_after_s=chance.uniform(0, 0.7),
                killed=("api", "worker", "both")[at % 3],
                at_work=at % 4 > 0,
            )
        client.run(0)
        settings = settings_in(tmp_path)
        service = Service(settings, LocalExecutor(settings), judge)
        service.start()
        until(lambda: service.queue().waiting == service.queue().running == 0, 120)
        jobs = service.jobs(limit=10_000).jobs
        service.stop(10)
    finally:
        Berth(settings_in(tmp_path).state, WORKER).clear()
    assert {job.id for job in jobs} == set(client.told.values())
    assert len(client.told) == 2 * kills
    prompts = {job: key for key, job in client.told.items()}
    for job in jobs:
        if job.state is State.COMPLETED:
            assert job.clip is not None and job.clip.read_text() == prompts[job.id]
        else:
            assert job.failure is not None and job.failure.code == "worker_crashed"
    clips = {job.clip.name for job in jobs if job.clip is not None}
    left = [path.name for path in settings.clips.iterdir() if attempt_of(path.name)]
    assert sorted(left) == sorted(clips)
    assert list((settings.state / "spool").glob("*")) == []
