"""Workers on the machines of a Ray cluster, as the service has them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.values.errors import OutsideError, PatcherError
from ltx2_service.boundaries.code import digest
from ltx2_service.boundaries.ends import Ends
from ltx2_service.boundaries.executor import Assignment, Told
from ltx2_service.boundaries.ray.hands import Hands
from ltx2_service.boundaries.ray.latents import Latents
from ltx2_service.boundaries.ray.process import DriverProcess, answers
from ltx2_service.boundaries.spool import Spool
from ltx2_service.values.driving import (
    Attempt,
    Beat,
    Begin,
    EndAll,
    Gone,
    Met,
    News,
    Order,
    Refusal,
    Report,
    Shown,
    To,
    Trouble,
    Unmet,
)
from ltx2_service.values.job import Failure
from ltx2_service.values.messages import Assign, Cancel, Over, Reached, Settled
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card, Ended

_LOOK_S = 1.0  # between two looks at the spool, and two tries to reach the cluster
_LISTEN_S = 0.2  # how soon it is left
_UP_S = 60.0  # until a driver's first beat
_SILENT_S = 10.0  # and from one to the next, of which there is one a second
_FOUND_S = 60.0  # that a start waits for what the cluster has in hand
_BACK_S = 90.0
"""That a worker may take to be found again after the head was gone: its node gives up after
RAY_gcs_rpc_server_reconnect_timeout_s, 60 s, and is started again then.
"""
_TELL_S = 20.0  # that workers were ended, and what that cost
_REACHING = "The Ray cluster is being reached."
_LOST = "The Ray cluster does not answer any more; clips wait for it."
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Hand:
    """An attempt that was given to a worker."""

    worker: str
    number: int  # of the order that did it


class RayExecutor:
    """An Executor whose workers are on other machines, and outlive all between them and it."""

    def __init__(self, settings: Settings, code: str | None = None) -> None:
        """`code` is what actors and workers are told apart by from older ones."""
        assert settings.cluster is not None
        self._cluster = settings.cluster
        self._settings = settings
        self._state = settings.state.absolute()
        self._code = digest() if code is None else code
        self._ends = Ends(Spool(self._cluster.shared))
        self._kept = Hands(self._state)
        self._previews = Latents(self._state / "ray.previews")
        self._thread = threading.Thread(target=self._work, name="ray", daemon=True)
        self._leaves = threading.Event()
        self._stops = threading.Event()
        self._found = threading.Event()
        self._lock = threading.Lock()  # of what follows
        self._driver: DriverProcess | None = None
        self._trouble: str | None = _REACHING
        self._number = 0
        self._hands: dict[Attempt, _Hand] = {}
        self._cards: dict[str, Card] = {}  # of each worker that was ever met
        self._met: set[str] = set()  # workers that can be reached
        self._away_s: dict[str, float] = {}  # since when others that have an attempt can't
        self._unmet: dict[str, str] = {}  # why nobody was met at a place
        self._awaited: set[str] | None = None  # places of which the start knows nothing yet

    def start(self, told: Told) -> None:
        """Reach the cluster, and find the workers that run. Raises: OutsideError.

        Where the cluster can't be reached it is tried on, and attempts count as in hand.
        """
        self._ends.listen(told)
        for job, token, worker in self._kept.all():
            self._hands[job, token] = _Hand(worker, 0)
        self._previews.clear()
        self._scan()
        self._thread.start()
        self._found.wait(_FOUND_S)

    @property
    def listens(self) -> bool:
        """Whether it was started, and neither stopped nor left."""
        return self._thread.is_alive()

    def trouble(self) -> str | None:
        """Why no worker can be had at all, a sentence."""
        with self._lock:
            if self._trouble is not None or self._met:
                return self._trouble
            whys = [f"{place}: {why}" for place, why in sorted(self._unmet.items())]
        return f"No card of the Ray cluster is up ({'; '.join(whys)})." if whys else None

    def cards(self) -> Sequence[Card]:
        """Each worker that was met, as it is now; lost where it can't be reached."""
        with self._lock:
            return [self._card(name) for name in sorted(self._cards)]

    def running(self) -> Sequence[tuple[str, int, str]]:
        """(job, token, worker) of each attempt that was given out, or whose end is not settled.

        Those whose machine can't be reached are among them: they may go on.
        """
        with self._lock:
            found = {attempt: hand.worker for attempt, hand in self._hands.items()}
        found |= self._ends.unsettled()
        return [(job, token, worker) for (job, token), worker in found.items()]

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Let an idle worker make an attempt. Raises: OutsideError."""
        attempt = (assignment.job, assignment.token)
        with self._lock:
            if worker not in self._cards:
                raise OutsideError(
                    f"there is no worker {worker}", remedy="choose one of the cluster's cards"
                )
            if (state := self._card(worker).state) != "idle":
                raise OutsideError(
                    f"the worker {worker} takes no clip: it is {state}",
                    remedy="wait until it is idle",
                )
            self._kept.put(*attempt, worker)
            self._hands[attempt] = _Hand(worker, self._number + 1)
            if not self._order(worker, Assign(assignment)):
                del self._hands[attempt]
                self._kept.drop(*attempt)
                raise OutsideError(
                    f"the worker {worker} can't be reached", remedy="wait for the cluster"
                )

    def cancel(self, job: str, token: int) -> None:
        """Ask that an attempt ends at its next point; one that can't be reached is given up."""
        with self._lock:
            if (hand := self._hands.get((job, token))) is None:
                return
            reached = hand.worker in self._met and self._order(hand.worker, Cancel(job, token))
        if not reached:
            self._lose({(job, token): hand.worker}, "it was cancelled while out of reach")

    def settled(self, job: str, token: int) -> None:
        """Let the end of an attempt go."""
        worker = self._ends.unsettled().get((job, token))
        self._ends.settled(job, token)
        self._previews.forget(job)
        with self._lock:
            self._drop((job, token))
            if worker is not None:
                self._order(worker, Settled(job, token))

    def stop(self, drain_s: float) -> None:
        """End the workers, each once idle or after so much time; those that can't be reached end
        by themselves.
        """
        self._stops.set()
        with self._lock:
            reached = self._driver is not None and self._driver.send(EndAll(drain_s))
        if reached:
            self._thread.join(drain_s + _TELL_S)
        self.leave()

    def leave(self) -> None:
        """Stop listening; workers go on."""
        self._leaves.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while not (self._leaves.is_set() or self._stops.is_set()):
            try:
                if answers(self._cluster):
                    self._drive()
                else:
                    self._be_in_trouble(
                        f"The head of the Ray cluster, {self._cluster.address}, does not answer; "
                        "clips wait for it."
                    )
                self._scan()
            except PatcherError as error:
                self._be_in_trouble(f"{error}; {error.remedy}")
            self._leaves.wait(_LOOK_S)

    def _drive(self) -> None:
        """Have a driver, until it ends or the cluster is silent. Raises: OutsideError."""
        driver = DriverProcess(self._cluster, self._settings.tree, self._state / "ray.log")
        try:
            with self._lock:
                self._driver = driver
                bare = replace(self._settings, models=(), tokens={})  # what actors need of them
                driver.send(Begin(bare, self._code, self._number))
            self._listen(driver)
        except EOFError:
            pass
        finally:
            with self._lock:
                self._driver = None
                self._met.clear()
                self._away_s.clear()
                self._trouble = self._trouble or _LOST
            driver.end()

    def _listen(self, driver: DriverProcess) -> None:
        """Raises: EOFError once it has ended."""
        looked_s, silent_by_s = 0.0, time.monotonic() + _UP_S
        while not self._leaves.is_set() and time.monotonic() < silent_by_s:
            report = driver.received(_LISTEN_S)
            if isinstance(report, Beat):
                silent_by_s = time.monotonic() + _SILENT_S
            if report is not None:
                self._hear(report)
            if time.monotonic() - looked_s > _LOOK_S:
                looked_s = time.monotonic()
                self._scan()
                self._give_up()

    def _hear(self, report: Order | Report) -> None:
        match report:
            case Beat(places):
                self._have_beat(set(places))
            case Trouble(why):
                self._be_in_trouble(why)
            case Unmet(place, why):
                with self._lock:
                    self._unmet[place] = why
                self._is_found(place)
            case Met():
                self._meet(report)
            case Shown(card):
                with self._lock:
                    self._cards[card.worker] = card
                    if card.state == "lost":
                        self._met.discard(card.worker)
                    else:  # its actor has replaced it
                        self._met.add(card.worker)
                        self._away_s.pop(card.worker, None)
            case News(Reached(job, token, progress), latents):
                if latents is not None:
                    progress = replace(progress, latents=self._previews.put(job, latents))
                self._ends.reached(job, token, progress)
            case News(Over() as over):
                self._let_go(over)
                self._ends.over(over)
            case Refusal(worker, job, token, why):
                self._lose({(job, token): worker}, why)
            case Gone(worker, why):
                with self._lock:
                    self._met.discard(worker)
                    if worker in self._cards:
                        self._cards[worker] = replace(self._cards[worker], state="lost")
                    lost = {key: worker for key, of in self._hands.items() if of.worker == worker}
                self._lose(lost, why)

    def _have_beat(self, places: set[str]) -> None:
        with self._lock:
            self._trouble = None
            self._unmet = {name: why for name, why in self._unmet.items() if name in places}
            if self._awaited is None:
                self._awaited = places
        self._is_found(None)

    def _is_found(self, place: str | None) -> None:
        """The start need not wait for this one."""
        with self._lock:
            if self._awaited is not None:
                self._awaited.discard(place or "")
                if not self._awaited:
                    self._found.set()

    def _meet(self, met: Met) -> None:
        """What the worker was given and knows nothing of is lost; what it has, it has."""
        worker = met.card.worker
        with self._lock:
            self._unmet.pop(met.place, None)
            self._met.add(worker)
            self._cards[worker] = met.card
            self._away_s.pop(worker, None)
            lost = {
                attempt: hand.worker
                for attempt, hand in self._hands.items()
                if hand.worker == worker
                and hand.number <= met.number
                and attempt not in met.attempts
            }
            for attempt in met.attempts:
                self._hands.setdefault(attempt, _Hand(worker, met.number))
        self._lose(lost, "it knows nothing of it")
        self._is_found(met.place)

    def _let_go(self, over: Over) -> None:
        """The attempt is no longer in hand, so the worker can be given another."""
        with self._lock:
            hand = self._drop((over.job, over.token))
            card = None if hand is None else self._cards.get(hand.worker)
            if card is not None and card.state in {"starting", "running"}:
                self._cards[card.worker] = replace(card, state="idle", job=None)

    def _lose(self, attempts: Mapping[Attempt, str], why: str) -> None:
        """They are to be made again, but those whose end lies in the spool."""
        if not attempts:
            return
        with self._lock:
            for attempt in attempts:
                self._drop(attempt)
        self._scan()
        for (job, token), worker in attempts.items():
            failure = Failure("worker_crashed", f"the worker {worker} lost it: {why}")
            ended = Ended(0.0, 0, failure, worker_lost=True)
            self._ends.over(Over(job, token, worker, ended))

    def _scan(self) -> None:
        """Tell what lies in the spool. Workers that can be reached tell themselves."""
        self._ends.scan(self._heard_of)
        known = self._ends.unsettled()
        with self._lock:
            for attempt, hand in list(self._hands.items()):
                if attempt in known and hand.worker not in self._met:
                    self._drop(attempt)

    def _heard_of(self) -> set[Attempt]:
        with self._lock:
            return {key for key, hand in self._hands.items() if hand.worker in self._met}

    def _give_up(self) -> None:
        """Attempts whose workers don't come back while the head is there are lost."""
        now_s = time.monotonic()
        with self._lock:
            if self._trouble is not None:
                return
            away = {key: of.worker for key, of in self._hands.items() if of.worker not in self._met}
            lost = {
                attempt: worker
                for attempt, worker in away.items()
                if now_s - self._away_s.setdefault(worker, now_s) > _BACK_S
            }
        self._lose(lost, f"it did not come back within {_BACK_S:g} s")

    def _be_in_trouble(self, why: str) -> None:
        with self._lock:
            is_new, self._trouble = why != self._trouble, why
        if is_new:
            _LOG.warning("%s", why)
        self._found.set()

    def _card(self, name: str) -> Card:
        """With the lock held: a worker, with a job from when that is assigned."""
        card = self._cards[name]
        jobs = [job for (job, _), hand in self._hands.items() if hand.worker == name]
        if jobs:
            state = "running" if card.state == "idle" else card.state
            card = replace(card, state=state, job=jobs[0])
        return card if name in self._met else replace(card, state="lost", base=None, warm=())

    def _order(self, worker: str, ask: Assign | Cancel | Settled) -> bool:
        """With the lock held: whether a driver can read it."""
        self._number += 1
        return self._driver is not None and self._driver.send(To(worker, ask, self._number))

    def _drop(self, attempt: Attempt) -> _Hand | None:
        """With the lock held: it is in no hand any more."""
        self._kept.drop(*attempt)
        return self._hands.pop(attempt, None)
