"""The line in which jobs wait: who is next, and how long it will take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ltx2_service.boundaries.store import Store
from ltx2_service.rules.estimate import UNKNOWN, Free, Pace, ends, paces_of, tokens_of
from ltx2_service.rules.order import fair_order, shares
from ltx2_service.values.job import Job, State
from ltx2_service.values.told import Card
from ltx2_service.values.waiting import Waiting

_LATELY_S = 0.2


@dataclass(frozen=True, slots=True)
class _View:
    """The line at a moment."""

    order: tuple[Waiting, ...]
    places: dict[str, int]
    made_s: float  # by the monotonic clock


class Line:
    """What waits, in order; worked out anew when something changed and somebody asks.

    Any thread may use it.
    """

    def __init__(
        self, store: Store, cards: Callable[[], Sequence[Card]], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._cards = cards
        self._clock = clock
        self._lock = threading.RLock()
        self._paces: dict[str, Pace] = {}
        self._spent: dict[str, float] = {}  # seconds of cards, by owner
        self._cold: set[str] = set()  # running jobs that had their model loaded
        self._turn = 0
        self._view: _View | None = None
        self._is_old = True  # something changed since
        self._ends_of: _View | None = None
        self._ends_s: dict[str, float] = {}  # of that view, from when it was made

    def changed(self, model: str | None = None) -> None:
        """A job came, began or ended; with `model` one of its clips was made."""
        with self._lock:
            self._is_old = True
            if model is not None:
                self._paces.pop(model, None)

    def took(self, job: Waiting, *, cold: bool) -> None:
        """A job left the line for a card, which is `cold` where it has to load the model first."""
        with self._lock:
            self._spent[job.owner] = self._spent.get(job.owner, 0.0) + self._cost(job, cold=cold)
            if cold:
                self._cold.add(job.id)
            self._turn += 1
            self._is_old = True

    def order(self) -> tuple[Waiting, ...]:
        """All who wait, the next one first."""
        return self._now().order

    def places(self) -> Mapping[str, int]:
        """How many go before each who waits."""
        return self._now().places

    def place(self, job: str) -> int | None:
        """How many go before a job, as of a moment ago; None where it does not wait."""
        return self._lately(job).places.get(job)

    def left_s(self, job: Job) -> float | None:
        """Seconds until a job ends, as far as can be told."""
        if job.state is State.RUNNING:
            pace = self._pace(job.wanted.model or "")
            whole = pace.seconds(tokens_of(job.wanted), cold=job.id in self._cold)
            return max(1.0, whole - max(0.0, self._clock() - (job.started_s or self._clock())))
        if job.state is State.QUEUED:
            with self._lock:
                view = self._lately(job.id)
                if self._ends_of is not view:  # worked out when asked for: it takes longest
                    self._ends_of, self._ends_s = view, self._ends(view.order)
                end_s = self._ends_s.get(job.id)
            return None if end_s is None else max(1.0, end_s - _age_s(view))
        return None

    def estimate_s(self, job: Waiting, *, cold: bool) -> float:
        """Seconds that a card will take for a job, by what others took."""
        return self._cost(job, cold=cold)

    def next_free_s(self) -> float:
        """Seconds until a card takes the next job."""
        left = [self.left_s(claim.job) or 1.0 for claim in self._store.running()]
        return min(left, default=1.0)

    def _now(self) -> _View:
        with self._lock:
            if self._view is None or self._is_old:
                self._is_old = False
                self._view = self._worked_out()
            return self._view

    def _lately(self, job: str) -> _View:
        """One that knows the job: many who ask at once share it, however fast jobs come and go."""
        with self._lock:
            view = self._view
            if view is not None and job in view.places and _age_s(view) < _LATELY_S:
                return view
            return self._now()

    def _worked_out(self) -> _View:
        waiting = self._store.waiting()
        running = [claim.job for claim in self._store.running()]
        there = {job.owner for job in waiting} | {job.wanted.owner for job in running}
        self._spent = shares(self._spent, there)
        self._cold &= {job.id for job in running}
        order = fair_order(waiting, self._spent, self._fair_cost, self._turn)
        places = {job.id: place for place, job in enumerate(order)}
        return _View(order, places, time.monotonic())

    def _ends(self, order: Sequence[Waiting]) -> dict[str, float]:
        running = {claim.worker: claim.job for claim in self._store.running()}
        free = [
            Free(
                card.index,
                (self.left_s(running[card.worker]) or 0.0) if card.worker in running else 0.0,
                frozenset(card.warm),
            )
            for card in self._cards()
            if card.state not in {"stopping", "lost"}
        ]
        return ends(order, free, self._cost)

    def _cost(self, job: Waiting, *, cold: bool) -> float:
        return self._pace(job.model).seconds(job.tokens, cold=cold)

    def _fair_cost(self, job: Waiting) -> float:
        return self._cost(job, cold=False)

    def _pace(self, model: str) -> Pace:
        with self._lock:
            if model not in self._paces:
                self._paces[model] = paces_of(self._store.runs(model)).get(model, UNKNOWN)
            return self._paces[model]


def _age_s(view: _View) -> float:
    return time.monotonic() - view.made_s
