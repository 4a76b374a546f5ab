"""Workers that are processes of this machine, one a card."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ltx2_service
from ltx2_patcher.boundaries.proc import inherited_variables
from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.card import Driver
from ltx2_service.boundaries.code import digest
from ltx2_service.boundaries.ends import Ends
from ltx2_service.boundaries.executor import Assignment, Told
from ltx2_service.boundaries.link import Link, Side
from ltx2_service.boundaries.spawn import spawn
from ltx2_service.boundaries.spool import Spool
from ltx2_service.rules.cluster_names import worker_name
from ltx2_service.values.messages import Cancel, Settled
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card

_BEATS = 6  # that a worker says how it is within its lease
_SLOWEST_BEAT_S = 2.0
_TELL_S = 5.0  # that a worker was ended, and what that cost


class LocalExecutor:
    """An Executor whose workers outlive it.

    Two at once on one state folder do not share: each worker obeys the one that came last.
    """

    def __init__(
        self, settings: Settings, code: str | None = None, machine: str | None = None
    ) -> None:
        """`code` is what workers are told apart by from older ones; None: a digest of theirs.

        `machine` is what this one is called where several share a spool: its workers are named
        after it, and the results of others left alone.
        """
        self._settings = settings
        self._state = settings.state.absolute()
        self._code = digest() if code is None else code
        self._driver = Driver()
        self._links: dict[str, Link] = {}
        self._cards: dict[str, int] = {}
        self._machine = machine
        spool = Spool(settings.shared.absolute())
        self._ends = Ends(spool, None if machine is None else self._cards)

    def start(self, told: Told) -> None:
        """Bring up the workers that are lacking, and find those that run. Raises: OutsideError."""
        self._ends.listen(told)
        side = Side(
            code=self._code,
            lease_s=self._settings.lease_s,
            start=self._start_worker,
            reached=self._ends.reached,
            over=self._ends.over,
            scan=self._scan,
        )
        for index in self._indices():
            berth = Berth(self._state, worker_name(self._machine, index))
            berth.make()
            self._cards[berth.name] = index
            self._links[berth.name] = Link(berth, side)
        for link in self._links.values():
            link.start()
        for link in self._links.values():
            link.await_found()
        self._scan()

    def trouble(self) -> None:
        """Nothing but their own keeps workers of this machine away."""

    def cards(self) -> Sequence[Card]:
        """Each worker as it is now."""
        return [self._card(name, index) for name, index in self._cards.items()]

    def running(self) -> Sequence[tuple[str, int, str]]:
        """(job, token, worker) of each attempt that is in hand, or whose end is not settled."""
        found: dict[tuple[str, int], str] = {}
        for worker, link in self._links.items():
            standing = link.standing
            if standing.job is not None:
                found[standing.job, standing.token] = worker
        found |= self._ends.unsettled()
        return [(job, token, worker) for (job, token), worker in found.items()]

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Let an idle worker make an attempt. Raises: OutsideError."""
        if (link := self._links.get(worker)) is None:
            raise OutsideError(f"there is no worker {worker}", remedy="choose one of its cards")
        link.assign(assignment)

    def cancel(self, job: str, token: int) -> None:
        """Ask that an attempt ends at its next point."""
        for link in self._links.values():
            link.ask(Cancel(job, token))

    def settled(self, job: str, token: int) -> None:
        """Let the end of an attempt go."""
        self._ends.settled(job, token)
        for link in self._links.values():
            link.ask(Settled(job, token))

    def stop(self, drain_s: float) -> None:
        """End the workers, each once idle or after so much time. Raises: OutsideError."""
        deadline = time.monotonic() + drain_s
        for link in self._links.values():
            link.end()
        for link in self._links.values():
            if not link.await_end(deadline - time.monotonic()):
                link.berth.clear()
                link.await_end(_TELL_S)
        self.leave()

    def leave(self) -> None:
        """Stop listening; workers go on."""
        for link in self._links.values():
            link.leave()

    def _indices(self) -> tuple[int, ...]:
        if self._settings.gpus is not None:
            return self._settings.gpus
        return self._driver.indices() or (0,)

    def _start_worker(self, berth: Berth) -> int:
        index = self._cards[berth.name]
        beat_s = min(self._settings.lease_s / _BEATS, _SLOWEST_BEAT_S)
        options = [
            *("--state", str(self._state), "--name", berth.name, "--code", self._code),
            *("--shared", str(self._settings.shared.absolute())),
            *("--orphan-s", str(self._settings.orphan_s), "--beat-s", str(beat_s)),
        ]
        if self._driver.indices():
            options += ["--gpu", str(index), "--cpus", self._driver.near_cpus(index)]
        argv = [sys.executable, "-m", "ltx2_service.worker", *options]
        return spawn(argv, _with_our_code(inherited_variables()), berth.log)

    def _card(self, name: str, index: int) -> Card:
        standing = self._links[name].standing
        memory = self._driver.memory(index)
        return Card(
            index=index,
            name=self._driver.name(index),
            worker=name,
            state=standing.state,
            base=standing.base,
            warm=standing.warm,
            job=standing.job,
            used_bytes=None if memory is None else memory.used_bytes,
            total_bytes=None if memory is None else memory.total_bytes,
        )

    def _scan(self) -> None:
        self._ends.scan(self._hands)

    def _hands(self) -> set[tuple[str, int]]:
        standings = [link.standing for link in self._links.values()]
        return {(one.job, one.token) for one in standings if one.job is not None}


def _with_our_code(variables: Mapping[str, str]) -> dict[str, str]:
    """So that a worker finds this very package, wherever it is started."""
    ours = str(Path(str(ltx2_service.__file__)).parents[1])
    paths = [ours, *filter(None, [variables.get("PYTHONPATH")])]
    return {**variables, "PYTHONPATH": os.pathsep.join(paths)}
