"""The worker: hears the API, makes what it is given, and tells how that goes."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ltx2_patcher.values.errors import PatcherError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.lines import Connection, Listener
from ltx2_service.boundaries.spool import Spool
from ltx2_service.values.assignment import Assignment
from ltx2_service.values.messages import (
    Ask,
    Assign,
    Cancel,
    Over,
    Reached,
    Refused,
    Settled,
    Standing,
    Stop,
    Superseded,
    Tell,
)
from ltx2_service.values.told import Ended
from ltx2_service.worker.attempt import Attempt
from ltx2_service.worker.renderer import Process

_TICK_S = 0.05  # how soon the API is heard while an attempt runs
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Habits:
    """How a worker is set."""

    code: str  # digest of the code that it runs
    orphan_s: float  # without an API for so long it ends, once it is idle
    beat_s: float  # how often it tells how it is
    variables: Mapping[str, str]  # what its renderers get beside their own
    shared: Path  # folder of the spool


class Worker:
    """One attempt at a time, for one API at a time: the one that connected last."""

    def __init__(self, berth: Berth, listener: Listener, log: IO[bytes], habits: Habits) -> None:
        self._berth, self._listener, self._habits = berth, listener, habits
        self._spool = Spool(habits.shared)
        self._process = Process(log, {**habits.variables, **berth.mark})
        self._attempt: Attempt | None = None
        self._unkept: Over | None = None  # a result that the spool could not take yet
        self._api: Connection | None = None
        self._stops = False
        self._heard_s = self._told_s = time.monotonic()

    def run(self, asked_to_stop: Callable[[], bool]) -> None:
        """Work until nobody needs it any more, and nothing is in hand."""
        while True:
            self._stops = self._stops or asked_to_stop()
            if self._is_idle() and (self._stops or self._is_orphan()):
                break
            if self._attempt is None:
                self._hear(self._habits.beat_s)
                self._process.drop_if_dead()
            else:
                self._go_on(self._attempt)
                self._hear(0)
            self._beat()
        self._tell_standing()
        self._process.end()

    def _is_idle(self) -> bool:
        return self._attempt is None and self._unkept is None

    def _is_orphan(self) -> bool:
        return self._api is None and time.monotonic() - self._heard_s > self._habits.orphan_s

    def _hear(self, wait_s: float) -> None:
        """Do what the API asks within this time."""
        sides = [side for side in (self._listener, self._api) if side is not None]
        for side in select.select(sides, [], [], wait_s)[0]:
            if side is self._listener:
                if (connection := self._listener.accepted()) is not None:
                    self._obey(connection)
            elif side is self._api and self._api is not None:
                asks = self._api.messages(0)
                if asks is None:
                    self._drop_api()
                for ask in asks or ():
                    self._do(ask)

    def _obey(self, api: Connection) -> None:
        """From now on this one alone."""
        if self._api is not None:
            self._api.send(Superseded())
            self._drop_api()
        self._api = api
        if self._unkept is not None:
            self._tell(self._unkept)
        self._tell_standing()

    def _drop_api(self) -> None:
        assert self._api is not None
        self._api.close()
        self._api = None
        self._heard_s = time.monotonic()

    def _do(self, ask: Ask | Tell) -> None:
        match ask:
            case Assign(assignment):
                self._take(assignment)
            case Cancel(job, token):
                if (attempt := self._attempt) is not None and _is_of(attempt, job, token):
                    attempt.cancel()
            case Settled(job, token):
                if (kept := self._unkept) is not None and (kept.job, kept.token) == (job, token):
                    self._unkept = None
                    self._tell_standing()
            case Stop():
                self._stops = True
                self._tell_standing()
            case _:
                self._drop_api()

    def _take(self, assignment: Assignment) -> None:
        if not self._is_idle() or self._stops:
            why = "it is about to end" if self._stops else "it has another in hand"
            self._tell(Refused(assignment.job, assignment.token, why))
            return
        self._attempt = Attempt(assignment, self._process, self._berth)
        self._tell_standing()

    def _go_on(self, attempt: Attempt) -> None:
        of, state = attempt.assignment, attempt.state
        for told in attempt.turn(_TICK_S):
            if isinstance(told, Ended):
                over = Over(of.job, of.token, self._berth.name, told)
                self._attempt, self._unkept = None, over
                self._keep()
                self._tell(over)
                self._tell_standing()
            else:
                self._tell(Reached(of.job, of.token, told))
        if self._attempt is not None and attempt.state != state:
            self._tell_standing()

    def _keep(self) -> None:
        """Put the result in the spool; with a full disk it is tried again, and kept here."""
        if self._unkept is not None:
            try:
                self._spool.put(self._unkept)
                self._unkept = None
            except PatcherError as error:
                _LOG.warning("%s; %s", error, error.remedy)

    def _beat(self) -> None:
        if time.monotonic() - self._told_s >= self._habits.beat_s:
            self._keep()
            self._tell_standing()

    def _tell_standing(self) -> None:
        self._told_s = time.monotonic()
        attempt, process = self._attempt, self._process
        state = "idle" if self._is_idle() else "running" if attempt is None else attempt.state
        of = None if attempt is None else attempt.assignment
        self._tell(
            Standing(
                code=self._habits.code,
                state="stopping" if self._stops else state,
                job=None if of is None else of.job,
                token=0 if of is None else of.token,
                base=process.base,
                warm=process.warm,
            )
        )

    def _tell(self, message: Tell) -> None:
        if self._api is not None and not self._api.send(message):
            self._drop_api()


def _is_of(attempt: Attempt, job: str, token: int) -> bool:
    return (attempt.assignment.job, attempt.assignment.token) == (job, token)
