"""The thread that gives jobs to workers and takes what becomes of them.

It alone claims and settles attempts, so that no two decisions meet. It wakes when a job comes or
ends, and beside that looks at the workers now and then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ltx2_patcher.values.errors import InvalidError, OutsideError, PatcherError, UsageError
from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.executor import Assignment, Executor
from ltx2_service.boundaries.store import Store
from ltx2_service.jobs.finishing import release, settle
from ltx2_service.jobs.line import Line
from ltx2_service.jobs.listeners import Listeners
from ltx2_service.jobs.previews import Previews
from ltx2_service.rules.estimate import run_limit_s
from ltx2_service.rules.order import pair
from ltx2_service.values.job import Claim, Failure, State
from ltx2_service.values.judged import Judge, Judged
from ltx2_service.values.refusals import Draining, ServiceRefusal
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Ended, Progress
from ltx2_service.values.waiting import Seat, Waiting

_LOG = logging.getLogger(__name__)
_IDLE_S = 1.0  # between two looks while nothing happens
_EAGER_S = 0.05  # and while jobs wait for a worker
_KEEP_S = 300.0  # that a worker goes on with the model it took, where such clips wait
_ASIDE_S = 2.0  # that a worker which could not be reached is left alone
_HELD_UP_S = 10.0  # that a job waits which can't be judged now

Attempt = tuple[str, int]
"""A job and a token."""


@dataclass(slots=True)
class _Busy:
    """An attempt that a worker has in hand."""

    worker: str
    heard_s: float  # when it was last known of, by the monotonic clock


@dataclass(frozen=True, slots=True)
class Parts:
    """What the dispatcher works with."""

    settings: Settings
    store: Store
    clips: Clips
    executor: Executor
    judge: Judge
    line: Line
    listeners: Listeners
    previews: Previews
    clock: Callable[[], float]


@dataclass(slots=True)
class _Later:
    """Until when something is left alone, by the monotonic clock."""

    until_s: dict[str, float] = field(default_factory=dict)

    def put(self, name: str, seconds: float) -> None:
        self.until_s[name] = time.monotonic() + seconds

    def holds(self, name: str) -> bool:
        if time.monotonic() < self.until_s.get(name, 0.0):
            return True
        self.until_s.pop(name, None)
        return False


class Dispatcher:
    """The thread. `told` is what the executor calls."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._woken = threading.Event()
        self._ends = threading.Event()
        self._pauses = False  # nothing more is claimed
        self._gives_up = False  # workers are ended with what they have in hand
        self._lock = threading.Lock()
        self._inbox: dict[Attempt, Ended] = {}
        self._busy: dict[Attempt, _Busy] = {}
        self._stale: set[Attempt] = set()  # that were asked to end, since they count no more
        self._took_s: dict[str, float] = {}  # when each worker took the model that it has
        self._workers = _Later()
        self._jobs = _Later()
        self._places: dict[str, int] = {}  # last told, of those that somebody waits for
        self._looked_s = time.monotonic()

    def start(self) -> None:
        """Adopt what runs, and begin."""
        self._adopt()
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def pause(self) -> None:
        """Claim nothing more; what runs is still settled."""
        self._pauses = True

    def give_up(self) -> None:
        """From now on workers are ended: what they lose is no attempt of its job."""
        self._pauses = self._gives_up = True

    def stop(self) -> None:
        """The thread has ended, and what was told until now is settled where the disk lets it."""
        self._ends.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._settle_all()

    def release(self) -> None:
        """After `stop`: jobs whose attempts were given up wait again."""
        for claim in self._parts.store.running():
            release(
                claim, store=self._parts.store, clips=self._parts.clips, clock=self._parts.clock
            )

    def told(self, job: str, token: int, what: Progress | Ended) -> None:
        """What a worker says; any thread may call it."""
        if isinstance(what, Ended):
            with self._lock:
                self._inbox[job, token] = what
            self._woken.set()
            return
        parts = self._parts
        try:
            kept = what.latents is not None and parts.previews.keep(job, what.latents)
            known = parts.store.renew(job, token, what, shows=kept)
        except (OutsideError, Draining) as error:  # the clip goes on, and the next step tells again
            _LOG.warning("the progress of %s: %s", job, error)
            return
        if known:
            parts.listeners.wake(job)
        elif kept:
            parts.previews.forget(job)

    def _adopt(self) -> None:
        """Attempts that workers still have go on; the others of an earlier service are lost."""
        parts = self._parts
        held = {(job, token): worker for job, token, worker in parts.executor.running()}
        with self._lock:
            told = set(self._inbox)
        for claim in parts.store.running():
            attempt = (claim.job.id, claim.token)
            if attempt in held:
                self._busy[attempt] = _Busy(held[attempt], time.monotonic())
                if claim.job.cancels:
                    parts.executor.cancel(*attempt)
            elif attempt not in told:
                self._settle(attempt, None)
        parts.line.changed()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                waits = self._turn()
                pause_s = _EAGER_S if waits else _IDLE_S
            except OutsideError as error:
                _LOG.error("%s; %s", error, error.remedy)
                pause_s = _IDLE_S
            except Exception:  # noqa: BLE001 - without this thread nothing would ever be made again
                _LOG.exception("a bug of the dispatcher")
                pause_s = _IDLE_S
            self._woken.wait(pause_s)
            self._woken.clear()

    def _turn(self) -> bool:
        """Do what there is to do; whether jobs wait for a worker."""
        self._settle_all()
        if time.monotonic() - self._looked_s > min(_IDLE_S, self._parts.settings.lease_s / 4):
            self._looked_s = time.monotonic()
            self._look()
        waits = not self._pauses and self._dispatch()
        self._tell_places()
        return waits

    def _settle_all(self) -> None:
        with self._lock:
            inbox = dict(self._inbox)
        for attempt, ended in inbox.items():
            self._settle(attempt, ended)

    def _settle(self, attempt: Attempt, ended: Ended | None) -> None:
        """Raises: OutsideError where the disk does not take it; the end then stays in the inbox."""
        parts = self._parts
        job = settle(
            *attempt,
            ended,
            store=parts.store,
            clips=parts.clips,
            clock=parts.clock,
            given_up=self._gives_up,
        )
        self._busy.pop(attempt, None)
        self._stale.discard(attempt)
        if job is not None:
            made = job.state is State.COMPLETED
            parts.line.changed(job.wanted.model if made else None)
            parts.previews.forget(job.id)
            parts.listeners.wake(job.id)
        parts.executor.settled(*attempt)
        with self._lock:
            self._inbox.pop(attempt, None)

    def _look(self) -> None:
        """Give up attempts that no worker has had for a lease; end those that count no more."""
        parts = self._parts
        now_s = time.monotonic()
        with self._lock:
            told = set(self._inbox)
        held = {(job, token) for job, token, _ in parts.executor.running()} | told
        latest = {(claim.job.id, claim.token): claim for claim in parts.store.running()}
        for attempt, claim in latest.items():
            busy = self._busy.setdefault(attempt, _Busy(claim.worker, now_s))
            if attempt in held:
                busy.heard_s = now_s
            elif now_s - busy.heard_s > parts.settings.lease_s:
                self._settle(attempt, None)
        for attempt in held - told - latest.keys() - self._stale:
            self._stale.add(attempt)
            parts.executor.cancel(*attempt)
        self._stale &= held

    def _dispatch(self) -> bool:
        """Give each idle worker a job; whether some wait on."""
        parts = self._parts
        if not (seats := self._seats()):
            return parts.store.counts().waiting > 0  # a long line is not worked out for nobody
        order = [job for job in parts.line.order() if not self._jobs.holds(job.id)]
        bases = {model.name: model.base for model in parts.settings.models}
        pairs = pair(order, seats, bases)
        for job, seat in pairs:
            self._assign(job, seat)
        return len(order) > len(pairs)

    def _seats(self) -> list[Seat]:
        now_s = time.monotonic()
        taken = {busy.worker for busy in self._busy.values()}
        return [
            Seat(
                card.worker,
                card.index,
                card.base,
                card.warm,
                keeps=now_s - self._took_s.setdefault(card.worker, now_s) < _KEEP_S,
            )
            for card in self._parts.executor.cards()
            if card.state == "idle"
            and card.worker not in taken
            and not self._workers.holds(card.worker)
        ]

    def _assign(self, job: Waiting, seat: Seat) -> None:
        parts = self._parts
        if (judged := self._judged(job)) is None:
            return
        cold = job.model not in seat.warm
        estimate_s = parts.line.estimate_s(job, cold=cold)
        claim = parts.store.claim(job.id, seat.worker, cold=cold, now_s=parts.clock())
        if claim is None:
            parts.line.changed()  # it was cancelled meanwhile
            return
        attempt = (job.id, claim.token)
        self._busy[attempt] = _Busy(seat.worker, time.monotonic())
        try:
            parts.executor.assign(seat.worker, self._assignment(claim, judged, estimate_s))
        except OutsideError as error:
            _LOG.warning("%s: %s", seat.worker, error)
            self._workers.put(seat.worker, _ASIDE_S)
            self._busy.pop(attempt)
            release(claim, store=parts.store, clips=parts.clips, clock=parts.clock)
            parts.line.changed()
            self._woken.set()  # another worker may take it at once
            return
        if cold:
            self._took_s[seat.worker] = time.monotonic()
        parts.line.took(job, cold=cold)
        parts.listeners.wake(job.id)
        latest = parts.store.claimed(job.id)
        if latest is not None and latest.job.cancels:  # asked before the worker had it
            parts.executor.cancel(*attempt)

    def _assignment(self, claim: Claim, judged: Judged, estimate_s: float) -> Assignment:
        parts, job = self._parts, claim.job
        model = parts.settings.model(job.wanted.model)
        assert model is not None  # the judge refused it else
        part = parts.clips.part(job.id, claim.token)
        return Assignment(
            job=job.id,
            token=claim.token,
            model=model.name,
            argv=(*job.argv, "--output-path", str(part)),
            part=part,
            place=parts.clips.place(job.id, claim.token),
            run_limit_s=run_limit_s(model.run_limit_s, estimate_s, job.wanted.origin),
            renderer=judged.renderer,
            module=judged.module,
        )

    def _judged(self, waiting: Waiting) -> Judged | None:
        """What a job comes to now: since it was accepted, files, settings and the series may have
        changed. None where it may not begin.
        """
        parts = self._parts
        job = parts.store.job(waiting.id)
        if job is None:
            return None
        try:
            judged = parts.judge(job.wanted)
        except (UsageError, InvalidError, ServiceRefusal) as error:
            failure = Failure("refused", f"{error} ({error.remedy})")
            if parts.store.refuse(job.id, failure, parts.clock()) is not None:
                parts.line.changed()
                parts.listeners.wake(job.id)
            return None
        except PatcherError as error:  # of the machine, not of the job: a person will mend it
            _LOG.error("%s waits: %s; %s", job.id, error, error.remedy)
            self._jobs.put(job.id, _HELD_UP_S)
            return None
        changed = (judged.argv, judged.series) != (job.argv, job.series)
        if changed and not parts.store.readmit(job.id, judged.argv, judged.series):
            return None
        return judged

    def _tell_places(self) -> None:
        """Those who wait for a queued job hear where it stands."""
        parts = self._parts
        if not (heard := parts.listeners.heard()):
            self._places = {}
            return
        places = {job: place for job, place in parts.line.places().items() if job in heard}
        moved = {job: place for job, place in places.items() if self._places.get(job) != place}
        self._places = places
        if moved:
            told: dict[str, dict[str, object]] = {}
            for job_id, place in moved.items():
                job = parts.store.job(job_id)
                if job is not None:
                    told[job_id] = {"place": place, "left_s": parts.line.left_s(job)}
            parts.store.tell("place", told)
            for job_id in told:
                parts.listeners.wake(job_id)
