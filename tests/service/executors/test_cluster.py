"""What happens to the machines of a cluster: each clip has one result, and none is lost."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.ray.executor import RayExecutor
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import Job, State, Wanted
from ltx2_service.values.settings import Model, Settings
from tests.conftest import ROOT
from tests.service.cli.small_serve import judge
from tests.service.executors.conftest import wait_for
from tests.service.executors.small_cluster import SmallCluster

pytestmark = pytest.mark.slow  # a cluster takes seconds to come up, and a minute to miss its head
LONG = "--steps 400 --step-s 0.05"
QUICK = "--steps 2"


class Site:
    """A cluster of two cards, and services over it, one after the other."""

    def __init__(self, folder: Path, cluster: SmallCluster) -> None:
        self.nodes = cluster
        shared = cluster.cluster.shared
        self.settings = Settings(
            models=(Model("fake", "1.2.0", "distilled", {}),),
            state=folder / "state",
            clips=shared / "clips",
            tree=ROOT,
            cluster=cluster.cluster,
        )
        self.settings.clips.mkdir()
        self.service: Service | None = None

    def start(self) -> Service:
        """A service that has both cards."""
        service = self.service = Service(self.settings, RayExecutor(self.settings), judge)
        service.start()
        wait_for(lambda: [c.state in {"idle", "running"} for c in service.cards()] == [True] * 2)
        return service

    def berth(self, node: str) -> Berth:
        return Berth(self.settings.state / "nodes" / node, f"{node}-gpu0")

    def lose_machine(self, node: str) -> None:
        """All of it, at once."""
        self.nodes.kill(node)
        self.berth(node).clear()

    def attempts_on_disk(self, job: Job) -> list[str]:
        return sorted(path.name for path in self.settings.clips.glob(f"{job.id}*.mp4"))

    def close(self) -> None:
        if self.service is not None:
            self.service.leave()
        self.nodes.close()
        for node in "ab":
            self.berth(node).clear()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:
        site = Site(tmp_path, SmallCluster(tmp_path, Path(short)))
        try:
            site.nodes.start_head()
            site.nodes.start_node("a")
            site.nodes.start_node("b")
            yield site
        finally:
            site.close()


def asked(service: Service, prompt: str) -> Job:
    return service.accept(Wanted(prompt=prompt, model="fake", seed=1))[0]


def runs_on(service: Service, job: Job) -> str:
    """The node that has made a step of it; waits for that."""

    def steps() -> bool:
        told = [event for event in service.events(job.id) if event.kind == "progress"]
        return any(event.data.get("step") for event in told)

    wait_for(steps)
    return next(card.worker for card in service.cards() if card.job == job.id)[0]


def require_made(site: Site, service: Service, job: Job, *, attempt: int) -> None:
    """It completes, by that attempt, and one file of it is there."""
    wait_for(lambda: service.job(job.id).state.is_end)
    made = service.job(job.id)
    assert (made.state, made.attempt, made.failure) == (State.COMPLETED, attempt, None)
    assert made.clip is not None and made.clip.read_text() == "clip"
    name = made.clip.name
    wait_for(lambda: site.attempts_on_disk(job) == [name])


def state_of(service: Service, node: str) -> str:
    return next(card.state for card in service.cards() if card.worker[0] == node)


def test_a_clip_is_made_on_each_and_one_of_a_dead_machine_elsewhere(site: Site) -> None:
    service = site.start()
    first, second = asked(service, LONG), asked(service, LONG)
    assert {runs_on(service, first), runs_on(service, second)} == {"a", "b"}
    service.cancel(second.id)
    wait_for(lambda: service.job(second.id).state.is_end)
    cancelled = service.job(second.id)
    assert cancelled.failure is not None and cancelled.failure.code == "cancelled"
    dead = runs_on(service, first)
    site.lose_machine(dead)
    wait_for(lambda: state_of(service, dead) == "lost")
    assert service.queue().ready  # by the other
    require_made(site, service, first, attempt=2)
    site.nodes.start_node(dead)
    wait_for(lambda: state_of(service, dead) == "idle")


def test_without_a_head_clips_wait_and_those_under_way_go_on(site: Site) -> None:
    service = site.start()
    under_way = [asked(service, "--steps 300 --step-s 0.05"), asked(service, LONG)]
    nodes = [runs_on(service, job) for job in under_way]
    pids = [site.berth(node).holder() for node in nodes]
    waits = asked(service, QUICK)
    site.nodes.kill("head")
    wait_for(lambda: not service.queue().ready)
    why = service.queue().why_not
    assert why is not None and "Ray" in why
    assert {card.state for card in service.cards()} == {"lost"}
    for job in under_way:  # workers outlive Ray on their machines, and results lie in the spool
        require_made(site, service, job, attempt=1)
    assert service.job(waits.id).state is State.QUEUED
    site.nodes.start_head()

    def is_ready() -> bool:
        site.nodes.restart_what_ended()
        return service.queue().ready

    wait_for(is_ready, limit_s=180.0)
    require_made(site, service, waits, attempt=1)
    assert {site.berth(node).holder() for node in nodes} & set(pids)  # with their weights


def test_a_running_clip_is_found_again_by_the_next_service(site: Site) -> None:
    settings = site.settings.state.with_name("settings")
    settings.write_bytes(pickle.dumps(site.settings))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.service.executors.cluster_side", str(settings), LONG],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as api:
        assert api.stdout is not None
        job_id = next(api.stdout).strip()
        api.kill()
    service = site.start()
    assert service.job(job_id).state is State.RUNNING
    require_made(site, service, service.job(job_id), attempt=1)
