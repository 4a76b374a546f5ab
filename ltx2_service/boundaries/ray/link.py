"""One worker of a cluster as its driver has it: its actor made or found, heard, and replaced."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.ray.cluster import (
    Died,
    Handle,
    Place,
    Silent,
    Unavailable,
    actor_at,
)
from ltx2_service.values.driving import Attached, Heard, Met, Refusal, Report, Shown, To, Unmet
from ltx2_service.values.messages import Assign, Cancel
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card

_HEAR_S = 1.0  # that an actor holds a call until it has something to tell
_COMES_UP_S = 60.0  # from asking for an actor to its first answer; its worker takes a second
_ANSWER_S = 10.0  # for a short call
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0  # between tries
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """What a link needs of its driver."""

    settings: Settings
    code: str  # digest of the code that actors are started with now
    send: Callable[[Report], object]


class ActorLink:
    """A worker. It is heard in a thread of its own, and asked in another."""

    def __init__(self, place: Place, side: Side, number: int) -> None:
        self.place = place
        self._side = side
        self._leaves = threading.Event()
        self._doubts = threading.Event()  # whether an ask was heard: the actor is to be met again
        self._asks: queue.SimpleQueue[To | None] = queue.SimpleQueue()
        self._meeting = threading.Lock()  # of what follows: who has an actor, and what it was asked
        self._handle: Handle | None = None
        self._session = 0
        self._number = number
        self._after = 0
        self._failures = 0
        self.card: Card | None = None  # once it was met
        self._threads = [
            threading.Thread(target=run, name=place.name, daemon=True)
            for run in (self._listen, self._pass_on)
        ]

    def start(self) -> None:
        """Find the actor, or have it made."""
        for thread in self._threads:
            thread.start()

    def ask(self, to: To) -> None:
        """Hand an ask on; what comes of it is told."""
        self._asks.put(to)

    def leave(self) -> None:
        """Hear no more; the actor and its worker go on."""
        self._leaves.set()
        self._asks.put(None)

    def stop(self, drain_s: float) -> None:
        """End the worker and its actor, and tell what that cost."""
        self.leave()
        self._threads[1].join()
        with self._meeting:
            handle, session = self._handle, self._session
        if handle is None:
            return
        try:
            handle.ask("stop", drain_s, wait_s=drain_s + _ANSWER_S)
            self._take(handle.ask("hear", session, self._after, 0.0, wait_s=_ANSWER_S))
        except (Silent, Unavailable, Died, OutsideError) as error:
            _LOG.warning("%s did not say how it ended: %s", self.place.name, error)
        handle.kill()

    def _listen(self) -> None:
        while not self._leaves.is_set():
            try:
                handle = self._meet()
                while self._hear(handle):
                    self._failures = 0
                return
            except Silent:
                self._lost("it did not answer in time", kills=True)
            except (Unavailable, Died, OutsideError) as error:
                self._lost(str(error), kills=isinstance(error, OutsideError))
            self._leaves.wait(min(_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S))
            self._failures += 1

    def _meet(self) -> Handle:
        """The actor, which obeys us from now on; one of older code is let go first."""
        handle = actor_at(self.place, self._side.settings, self._side.code)
        with self._meeting:
            self._handle = handle  # to be killed where it does not come up
        met: Attached = handle.ask("attach", wait_s=_COMES_UP_S)
        if (met.code, met.settings) != (self._side.code, self._side.settings):
            handle.ask("leave", wait_s=_ANSWER_S)
            handle.kill()
            raise Died("it was made by older code, or with other settings")
        with self._meeting:
            self._session, self._after = met.session, 0
            self.card = self._named(met.card)
            self._side.send(Met(self.place.name, self.card, met.attempts, self._number))
        return handle

    def _hear(self, handle: Handle) -> bool:
        """Tell what the worker tells; whether there may be more."""
        if self._leaves.is_set():
            return False
        if self._doubts.is_set():
            self._doubts.clear()
            raise Unavailable("it may not have heard what it was asked")
        lease_s = self._side.settings.lease_s
        heard = handle.ask("hear", self._session, self._after, _HEAR_S, wait_s=_HEAR_S + lease_s)
        if heard is None:
            self._show_lost()
            _LOG.warning("another service has the worker %s now", self.place.name)
            self.leave()
            return False
        self._take(heard)
        return True

    def _take(self, heard: Heard | None) -> None:
        if heard is not None:
            for news in heard.news:
                self._side.send(news)
            self._after = heard.number
            self._show(self._named(heard.card))

    def _named(self, card: Card) -> Card:
        return replace(card, name=f"{card.name} on {self.place.machine}")

    def _show(self, card: Card) -> None:
        self.card = card
        self._side.send(Shown(card))

    def _show_lost(self) -> None:
        if self.card is not None:
            self._show(replace(self.card, state="lost", base=None, warm=()))

    def _lost(self, why: str, *, kills: bool) -> None:
        """There is no actor to hear. What its worker has in hand may go on."""
        _LOG.warning("%s: %s", self.place.name, why)
        with self._meeting:
            handle, self._handle = self._handle, None
            self._session = 0
        if kills and handle is not None:
            handle.kill()
        self._show_lost()
        if self.card is None:
            self._side.send(Unmet(self.place.name, why))

    def _pass_on(self) -> None:
        """In order; what can't be is refused, or found out when the actor is met again."""
        while (to := self._asks.get()) is not None:
            with self._meeting:
                self._number = to.number
                handle = self._handle if self._session else None
                try:
                    self._put(to, handle)
                except (Silent, Unavailable, Died, OutsideError) as error:
                    _LOG.warning("%s may not have heard: %s", self.place.name, error)
                    self._doubts.set()

    def _put(self, to: To, handle: Handle | None) -> None:
        match to.ask:
            case Assign(assignment):
                why: str | None = "there is no worker now"
                if handle is not None:
                    why = handle.ask("assign", self._session, assignment, wait_s=_ANSWER_S)
                if why is not None:
                    refusal = Refusal(to.worker, assignment.job, assignment.token, why)
                    self._side.send(refusal)
            case Cancel(job, token) if handle is not None:
                handle.tell("cancel", job, token)
            case _ if handle is not None:
                handle.tell("settled", to.ask.job, to.ask.token)
