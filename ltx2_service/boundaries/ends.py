"""How attempts ended, as an executor tells it: once, again where its listener failed, until that
is settled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping

from ltx2_service.boundaries.executor import Told
from ltx2_service.boundaries.spool import Spool
from ltx2_service.values.messages import Over
from ltx2_service.values.told import Ended, Progress

_LOG = logging.getLogger(__name__)


class Ends:
    """What was told of the ends of attempts, or is to be; any thread may use it."""

    def __init__(self, spool: Spool, workers: Collection[str] | None = None) -> None:
        """`workers`: whose results are told, where others use the spool too; None: everybody's."""
        self._spool = spool
        self._workers = workers
        self._told: Told = _nobody
        self._lock = threading.Lock()  # of what follows
        self._ended: dict[tuple[str, int], Over] = {}  # told or to be told, until settled
        self._owed: set[tuple[str, int]] = set()  # whose listener failed

    def listen(self, told: Told) -> None:
        """From now on this one is told."""
        self._told = told

    def unsettled(self) -> Mapping[tuple[str, int], str]:
        """The worker of each attempt whose end is not settled."""
        with self._lock:
            return {key: over.worker for key, over in self._ended.items()}

    def reached(self, job: str, token: int, progress: Progress) -> None:
        """Tell how far an attempt is."""
        self._call(job, token, progress)

    def over(self, over: Over) -> None:
        """Tell how an attempt ended, once."""
        with self._lock:
            is_new = self._note(over)
        if is_new:
            self._tell(over)

    def scan(self, in_hand: Callable[[], Collection[tuple[str, int]]]) -> None:
        """Tell what lies in the spool, and again what the listener could not take.

        A worker that is heard tells itself how what it has in hand ended, and is idle then.
        """
        with self._lock:
            kept = [o for o in self._spool.all() if self._is_ours(o)]
            hands = in_hand()
            untold = [o for o in kept if (o.job, o.token) not in hands and self._note(o)]
            untold += [over for key, over in self._ended.items() if key in self._owed]
        for over in untold:
            self._tell(over)

    def settled(self, job: str, token: int) -> None:
        """Let the end of an attempt go. Raises: OutsideError."""
        with self._lock:  # so that no scan finds a result that was settled meanwhile
            self._spool.forget(job, token)
            self._ended.pop((job, token), None)

    def _is_ours(self, over: Over) -> bool:
        return self._workers is None or over.worker in self._workers

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
