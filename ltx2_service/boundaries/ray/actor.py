"""The actor of one card: a LocalExecutor on the card's machine, asked by calls."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.folders import network_file_system
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.rules.cluster_names import worker_name
from ltx2_service.values.assignment import Assignment
from ltx2_service.values.driving import Attached, Heard, News
from ltx2_service.values.messages import Over, Reached
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Ended, Progress

_MOST_NEWS = 32  # that wait for a service which does not ask; ends are kept beside them
_LOOK_S = 1.0
_TICK_S = 0.1  # how soon a change of state is told
_LAST_CLIP_S = 86_400.0  # that a worker without a service may take to finish what it has


class CardActor:
    """Obeys one service at a time: the one that attached last. Calls may come at once."""

    def __init__(self, settings: Settings, machine: str, index: int, code: str) -> None:
        """`settings` are the service's; state is a folder of each machine's own.

        Raises: OutsideError.
        """
        state = settings.state / "nodes" / machine
        _require_own(state)
        self._given, self._code = settings, code
        self._executor = LocalExecutor(replace(settings, state=state, gpus=(index,)), code, machine)
        self._worker = worker_name(machine, index)
        self._changed = threading.Condition()  # of what follows
        self._session = 0
        self._number = 0
        self._news: deque[tuple[int, News]] = deque(maxlen=_MOST_NEWS)
        self._ends: dict[tuple[str, int], Over] = {}  # until settled
        self._listeners = 0
        self._asked_s = time.monotonic()
        self._executor.start(self._told)
        threading.Thread(target=self._end_as_orphan, daemon=True).start()

    def attach(self) -> Attached:
        """A new service is obeyed, and hears again of each end that is not settled."""
        with self._changed:
            self._asked_s = time.monotonic()
            self._session += 1
            self._news.clear()
            for over in self._ends.values():
                self._add(News(over))
            session = self._session
        attempts = tuple((job, token) for job, token, _ in self._executor.running())
        return Attached(session, self._code, self._given, self._executor.cards()[0], attempts)

    def hear(self, session: int, after: int, wait_s: float) -> Heard | None:
        """What came after the news of that number, waited for, or how the worker is where that
        changes; None: another is obeyed now.
        """
        with self._changed:
            self._listeners += 1
            until_s, state = time.monotonic() + wait_s, self._state()
            while session == self._session and self._number <= after and state == self._state():
                if (left_s := until_s - time.monotonic()) <= 0:
                    break
                self._changed.wait(min(left_s, _TICK_S))
            self._listeners -= 1
            self._asked_s = time.monotonic()
            if session != self._session:
                return None
            while self._news and self._news[0][0] <= after:
                self._news.popleft()
            news, number = tuple(one for _, one in self._news), self._number
        return Heard(self._executor.cards()[0], news, number)  # no older than the news

    def assign(self, session: int, assignment: Assignment) -> str | None:
        """Why the worker does not take an attempt; None where it does."""
        with self._changed:
            if session != self._session:
                return "another service has it now"
        try:
            self._executor.assign(self._worker, assignment)
        except OutsideError as error:
            return str(error)
        return None

    def cancel(self, job: str, token: int) -> None:
        """Ask that an attempt ends at its next point."""
        self._executor.cancel(job, token)

    def settled(self, job: str, token: int) -> None:
        """The end of an attempt stands in the store."""
        with self._changed:
            self._ends.pop((job, token), None)
        self._executor.settled(job, token)

    def stop(self, drain_s: float) -> None:
        """End the worker, once it is idle or after so much time."""
        self._executor.stop(drain_s)

    def leave(self) -> None:
        """Let go of the worker, which goes on: another actor takes this one's place."""
        self._executor.leave()

    def _told(self, job: str, token: int, told: Progress | Ended) -> None:
        with self._changed:
            if isinstance(told, Ended):
                over = Over(job, token, self._worker, told)
                self._ends[job, token] = over
                self._add(News(over))
            else:
                self._add(News(Reached(job, token, told), _read(told.latents)))

    def _state(self) -> str:
        return self._executor.cards()[0].state

    def _add(self, news: News) -> None:
        self._number += 1
        self._news.append((self._number, news))
        self._changed.notify_all()

    def _end_as_orphan(self) -> None:
        """Without a service for `orphan_s` the card is given back, after the clip in hand."""
        while self._listeners or time.monotonic() - self._asked_s < self._given.orphan_s:
            time.sleep(_LOOK_S)
        self._executor.stop(_LAST_CLIP_S)
        os._exit(0)  # the way of an actor's own thread to end it


def _read(latents: Path | None) -> bytes | None:
    if latents is not None:
        with contextlib.suppress(OSError):  # a preview is nothing that a clip may fail for
            return latents.read_bytes()
    return None


def _require_own(state: Path) -> None:
    """Locks and sockets need a disk of this machine. Raises: OutsideError."""
    above: Sequence[Path] = (state, *state.parents)
    there = next(folder for folder in above if folder.exists())
    if (kind := network_file_system(there)) is not None:
        raise OutsideError(
            f"{state} lies on {kind}, where workers can't hold their locks",
            remedy="set state to a path that is a disk of its own on each machine",
        )
