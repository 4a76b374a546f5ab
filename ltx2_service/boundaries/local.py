"""Workers that are processes of this machine, one a card."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ltx2_service
from ltx2_patcher.boundaries.proc import inherited_variables
from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.card import Driver
from ltx2_service.boundaries.code import digest
from ltx2_service.boundaries.executor import Assignment, Told
from ltx2_service.boundaries.link import Link, Side
from ltx2_service.boundaries.spawn import spawn
from ltx2_service.boundaries.spool import Spool
from ltx2_service.values.messages import Cancel, Over, Settled
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card, Ended, Progress

_BEATS = 6  # that a worker says how it is within its lease
_SLOWEST_BEAT_S = 2.0
_TELL_S = 5.0  # that a worker was ended, and what that cost
_LOG = logging.getLogger(__name__)


class LocalExecutor:
    """An Executor whose workers outlive it.

    Two at once on one state folder do not share: each worker obeys the one that came last.
    """

    def __init__(self, settings: Settings, code: str | None = None) -> None:
        """`code` is what workers are told apart by from older ones; None: a digest of theirs."""
        self._settings = settings
        self._state = settings.state.absolute()
        self._code = digest() if code is None else code
        self._driver = Driver()
        self._spool = Spool(self._state)
        self._links: dict[str, Link] = {}
        self._cards: dict[str, int] = {}
        self._told: Told = _nobody
        self._lock = threading.Lock()  # of what follows
        self._ended: dict[tuple[str, int], Over] = {}  # told or to be told, until settled
        self._owed: set[tuple[str, int]] = set()  # whose listener failed

    def start(self, told: Told) -> None:
        """Bring up the workers that are lacking, and find those that run. Raises: OutsideError."""
        self._told = told
        side = Side(
            code=self._code,
            lease_s=self._settings.lease_s,
            start=self._start_worker,
            reached=self._reached,
            over=self._over,
            scan=self._scan,
        )
        for index in self._indices():
            berth = Berth(self._state, f"gpu{index}")
            berth.make()
            self._cards[berth.name] = index
            self._links[berth.name] = Link(berth, side)
        for link in self._links.values():
            link.start()
        for link in self._links.values():
            link.await_found()
        self._scan()

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
        with self._lock:
            found |= {key: over.worker for key, over in self._ended.items()}
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
        with self._lock:  # so that no scan finds a result that was settled meanwhile
            self._spool.forget(job, token)
            self._ended.pop((job, token), None)
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

    def _reached(self, job: str, token: int, progress: Progress) -> None:
        self._call(job, token, progress)

    def _over(self, over: Over) -> None:
        """Tell how an attempt ended, once."""
        with self._lock:
            is_new = self._note(over)
        if is_new:
            self._tell(over)

    def _scan(self) -> None:
        """Tell what lies in the spool, and again what its listener could not take.

        A worker that is heard tells itself how what it has in hand ended, and is idle then.
        """
        with self._lock:
            kept = list(self._spool.all())
            standings = [link.standing for link in self._links.values()]
            hands = {(standing.job, standing.token) for standing in standings}
            untold = [o for o in kept if (o.job, o.token) not in hands and self._note(o)]
            untold += [over for key, over in self._ended.items() if key in self._owed]
        for over in untold:
            self._tell(over)

    def _note(self, over: Over) -> bool:
        """Whether it was not known; with the lock held."""
        key = (over.job, over.token)
        if key in self._ended:
            return False
        self._ended[key] = over
        return True

    def _tell(self, over: Over) -> None:
        taken = self._call(over.job, over.token, over.ended)
        with self._lock:
            (self._owed.discard if taken else self._owed.add)((over.job, over.token))

    def _call(self, job: str, token: int, told: Progress | Ended) -> bool:
        """Whether the listener took it; its failure shall not cost us a worker."""
        try:
            self._told(job, token, told)
        except Exception:  # noqa: BLE001 - whatever it is, it is told again
            _LOG.exception("what a worker told of %s was not taken", job)
            return False
        return True


def _nobody(job: str, token: int, told: Progress | Ended) -> None:
    """Nobody listens before the start."""


def _with_our_code(variables: Mapping[str, str]) -> dict[str, str]:
    """So that a worker finds this very package, wherever it is started."""
    ours = str(Path(str(ltx2_service.__file__)).parents[1])
    paths = [ours, *filter(None, [variables.get("PYTHONPATH")])]
    return {**variables, "PYTHONPATH": os.pathsep.join(paths)}
