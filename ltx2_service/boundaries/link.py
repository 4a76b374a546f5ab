"""One worker as its executor has it: brought up, connected to, heard, and replaced once lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ltx2_patcher.values.errors import OutsideError, PatcherError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.lines import Connection
from ltx2_service.boundaries.spawn import has_ended
from ltx2_service.values.assignment import Assignment
from ltx2_service.values.job import Failure
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
from ltx2_service.values.told import Ended, Progress

_TICK_S = 0.05  # between two looks for a worker that is not there
_LISTEN_S = 0.2  # how soon it is left
_FAILED_S = 2.0  # between two tries of what the machine refuses
_ANSWER_S = 10.0  # for the first word on a connection
_SILENT_S = 10.0  # who says nothing for so long is given nothing; a healthy one beats each 2 s
_COMES_UP_S = 60.0  # from taking its place to listening there
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0  # between starts of a worker that does not stay
_UNKNOWN = Standing("", "starting", None, 0, None, ())
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """What a link needs of its executor."""

    code: str  # digest of the code that workers are started with now
    lease_s: float  # who says nothing for so long is lost
    start: Callable[[Berth], int]  # a worker's process; its id. Raises: OutsideError
    reached: Callable[[str, int, Progress], None]
    over: Callable[[Over], None]  # of an attempt whose end was told nothing is told any more
    scan: Callable[[], None]  # tells what lies in the spool


class Link:
    """A worker. All is told in a thread of its own."""

    def __init__(self, berth: Berth, side: Side) -> None:
        self.berth = berth
        self._side = side
        self._found = threading.Event()  # it has said what it has in hand, or there is none
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._work, name=berth.name, daemon=True)
        self._is_over = False  # it ended, as it was asked to
        self._fine_s = time.monotonic()  # when nothing was wrong
        self._spawned: int | None = None
        self._starts = 0  # since one was heard
        self._lock = threading.Lock()  # of what follows
        self._standing = _UNKNOWN
        self._hand: tuple[str, int] | None = None
        self._api: Connection | None = None
        self._ends = False

    def start(self) -> None:
        """Find the worker, or bring one up."""
        self._thread.start()

    def await_found(self) -> None:
        """Return once it is known what the worker has in hand; a silent one is replaced first."""
        self._found.wait()

    @property
    def standing(self) -> Standing:
        """How it is, as far as is known here; with a job from when that is assigned."""
        with self._lock:
            told = self._standing
            if self._hand is None:
                return told
            state = "running" if told.state == "idle" else told.state
            return replace(told, state=state, job=self._hand[0], token=self._hand[1])

    def assign(self, assignment: Assignment) -> None:
        """Let it make an attempt. Raises: OutsideError where it is not there, or not idle."""
        with self._lock:
            state = self._standing.state if self._hand is None else "running"
            if state != "idle" or self._api is None:
                raise OutsideError(
                    f"the worker {self.berth.name} takes no clip: it is {state}",
                    remedy="wait until it is idle",
                )
            if not self._api.send(Assign(assignment)):
                raise OutsideError(
                    f"the worker {self.berth.name} does not answer",
                    remedy="wait until another is up in its place",
                )
            self._hand = (assignment.job, assignment.token)

    def ask(self, ask: Cancel | Settled) -> None:
        """Tell it; where it is not there, what it would do is done without it."""
        self._send(ask)

    def end(self) -> None:
        """Ask it to end once it is idle, and bring up none in its place."""
        with self._lock:
            self._ends = True
        self._send(Stop())

    def await_end(self, wait_s: float) -> bool:
        """Whether it has ended within this time, once it was asked to."""
        self._thread.join(max(wait_s, 0))
        return not self._thread.is_alive()

    def leave(self) -> None:
        """Stop listening; the worker goes on."""
        self._leaves.set()
        self._thread.join()

    def _work(self) -> None:
        while not (self._leaves.is_set() or self._is_over):
            try:
                self._turn()
            except PatcherError as error:
                _LOG.warning("%s; %s", error, error.remedy)
                self._set_state("lost")
                self._found.set()  # the service goes on without this one
                self._leaves.wait(_FAILED_S)
            self._leaves.wait(_TICK_S)

    def _turn(self) -> None:
        """Hear the worker, or bring one up."""
        if self.berth.holder() is None:
            if self._spawned is None or has_ended(self._spawned):
                self._lost("it ended")
                if self._ends:
                    self._is_over = True
                    return
                self._bring_up()
            self._fine_s = time.monotonic()
        elif (api := Connection.to(self.berth.socket)) is not None:
            self._listen(api)
            self._fine_s = time.monotonic()
        elif time.monotonic() - self._fine_s > _COMES_UP_S:
            self._replace("it did not come up")

    def _bring_up(self) -> None:
        if self._starts:
            self._leaves.wait(min(_FIRST_PAUSE_S * 2**self._starts, _LONGEST_PAUSE_S))
        self._starts += 1
        self._set_state("starting")
        self._spawned = self._side.start(self.berth)

    def _listen(self, api: Connection) -> None:
        """Hear it until it is gone, or another API is obeyed."""
        heard_s, is_known = time.monotonic(), False
        with self._lock:
            self._api = api
        try:
            while not self._leaves.is_set():
                messages = api.messages(_LISTEN_S)
                if messages is None:
                    return
                limit_s = self._side.lease_s if is_known else min(_ANSWER_S, self._side.lease_s)
                if messages:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > limit_s:
                    self._replace(f"it said nothing for {limit_s:g} s")
                    return
                elif time.monotonic() - heard_s > _SILENT_S:
                    self._set_state("lost")  # until its next word
                for message in messages:
                    if isinstance(message, Standing) and not is_known:
                        is_known = True
                        self._meet(message)
                    self._hear(message)
        finally:
            with self._lock:
                self._api = None
                self._standing = replace(self._standing, state="lost")
            api.close()

    def _meet(self, standing: Standing) -> None:
        """Its first word on a connection: what it knows nothing of has ended, or was lost."""
        self._starts = 0
        with self._lock:
            before = self._hand
            self._hand = None if standing.job is None else (standing.job, standing.token)
            lost = before if before != self._hand else None
            ends = self._ends
        if lost is not None:
            self._tell_lost(*lost, "it knows nothing of it")
        self._found.set()
        if ends:
            self._send(Stop())

    def _hear(self, message: Ask | Tell) -> None:
        match message:
            case Standing():
                with self._lock:
                    self._standing = message
                self._replace_older()
                self._side.scan()
            case Reached(job, token, progress):
                self._side.reached(job, token, progress)
            case Over(job, token):
                self._let_go(job, token)
                self._side.over(message)
            case Refused(job, token, why):
                self._let_go(job, token)
                self._tell_lost(job, token, why)
            case Superseded():
                _LOG.warning("another service has the worker %s now", self.berth.name)
                self._leaves.set()

    def _let_go(self, job: str, token: int) -> None:
        """The attempt is no longer in hand, so the worker can be given another."""
        with self._lock:
            if self._hand == (job, token):
                self._hand = None
                if self._standing.state in {"starting", "running"}:
                    self._standing = replace(self._standing, state="idle", job=None, token=0)
        self._replace_older()

    def _replace_older(self) -> None:
        """Once idle, a worker that runs other code ends, and another comes up in its place."""
        with self._lock:
            standing = self._standing
            is_idle = standing.state == "idle" and self._hand is None
            if not is_idle or standing.code == self._side.code:
                return
            self._standing = replace(standing, state="stopping")
        self._send(Stop())

    def _replace(self, why: str) -> None:
        """End it at once; another comes up in its place. Raises: OutsideError."""
        _LOG.warning("the worker %s is replaced: %s", self.berth.name, why)
        self._set_state("lost")
        self.berth.clear()
        self._lost(why)

    def _lost(self, why: str) -> None:
        """There is no worker: what it had in hand and did not finish is lost."""
        self.berth.tidy()
        with self._lock:
            hand, self._hand = self._hand, None
            self._standing = replace(self._standing, state="lost", base=None, warm=())
        self._spawned = None
        if hand is not None:
            self._tell_lost(*hand, why)
        self._found.set()

    def _tell_lost(self, job: str, token: int, why: str) -> None:
        """The attempt is to be made again, but where its end lies in the spool."""
        self._side.scan()
        failure = Failure("worker_crashed", f"the worker {self.berth.name} lost it: {why}")
        self._side.over(Over(job, token, self.berth.name, Ended(0.0, 0, failure, worker_lost=True)))

    def _set_state(self, state: str) -> None:
        with self._lock:
            self._standing = replace(self._standing, state=state)

    def _send(self, ask: Ask) -> None:
        with self._lock:
            if self._api is not None:
                self._api.send(ask)
