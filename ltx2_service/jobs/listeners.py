"""Who waits to hear of a job."""

from __future__ import annotations

import threading
from collections.abc import Callable

Wake = Callable[[], None]


class Listeners:
    """Those who wait, by job; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[str, dict[object, Wake]] = {}

    def subscribe(self, job: str, wake: Wake) -> Wake:
        """`wake` is called when there is more; returns the way to end that."""
        ticket = object()
        with self._lock:
            self._wakes.setdefault(job, {})[ticket] = wake

        def end() -> None:
            with self._lock:
                wakes = self._wakes.get(job, {})
                wakes.pop(ticket, None)
                if not wakes:
                    self._wakes.pop(job, None)

        return end

    def heard(self) -> frozenset[str]:
        """The jobs that somebody waits for."""
        with self._lock:
            return frozenset(self._wakes)

    def wake(self, job: str) -> None:
        """There is more of a job."""
        with self._lock:
            wakes = list(self._wakes.get(job, {}).values())
        for wake in wakes:  # outside the lock: one may end its subscription
            wake()
