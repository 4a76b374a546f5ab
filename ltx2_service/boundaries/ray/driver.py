"""`python -m ltx2_service.boundaries.ray.driver`: started by RayExecutor, with a socket as stdin.

It ends with the service, with an order, and whenever Ray ends it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from itertools import count

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.ray.cluster import Place, connect, places
from ltx2_service.boundaries.ray.link import ActorLink, Side
from ltx2_service.boundaries.ray.pipe import Pipe
from ltx2_service.values.driving import Beat, Begin, EndAll, Gone, Refusal, To, Trouble
from ltx2_service.values.messages import Assign

_LOOK_S = 1.0
_LOG = logging.getLogger(__name__)


class Driver:
    """The links of a cluster's workers, kept in step with its machines."""

    def __init__(self, begin: Begin, pipe: Pipe) -> None:
        self._cluster = begin.settings.cluster
        self._side = Side(begin.settings, begin.code, pipe.send)
        self._pipe = pipe
        self._number = begin.number
        self._ends = threading.Event()
        self._lock = threading.Lock()  # of the links
        self._links: dict[str, ActorLink] = {}
        self._nodes = count()
        self._seen: dict[str, int] = {}  # Ray's ids of nodes, in the order of their coming

    def watch(self) -> None:
        """Look for machines that come and go, until told to stop."""
        assert self._cluster is not None
        while not self._ends.wait(_LOOK_S):
            now = self._latest(places(self._cluster))
            with self._lock:
                self._pipe.send(Beat(tuple(now)))
                for name in self._links.keys() - now.keys():
                    self._drop(name)
                for name, place in now.items():
                    if name in self._links:
                        self._links[name].place = place
                    else:
                        self._links[name] = ActorLink(place, self._side, self._number)
                        self._links[name].start()

    def hand_on(self, to: To) -> None:
        """To the worker's link."""
        with self._lock:
            self._number = to.number
            for link in self._links.values():
                if link.card is not None and link.card.worker == to.worker:
                    link.ask(to)
                    return
        if isinstance(to.ask, Assign):
            of = to.ask.assignment
            self._pipe.send(Refusal(to.worker, of.job, of.token, "there is no such worker now"))

    def stop(self, drain_s: float) -> None:
        """End all workers, at once."""
        self._ends.set()
        with self._lock:
            links, self._links = list(self._links.values()), {}
        threads = [threading.Thread(target=link.stop, args=(drain_s,)) for link in links]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _drop(self, name: str) -> None:
        link = self._links.pop(name)
        link.leave()
        if link.card is not None:
            self._pipe.send(Gone(link.card.worker, "its machine has left the cluster"))

    def _latest(self, found: list[Place]) -> dict[str, Place]:
        """Of a node that was started again, and whose end the head has yet to notice, the new."""
        for place in found:
            if place.node not in self._seen:
                self._seen[place.node] = next(self._nodes)
        return {place.name: place for place in sorted(found, key=lambda p: self._seen[p.node])}


def main() -> int:
    """Drive until told to stop; 0, or 1 where the cluster can't be used."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    pipe = Pipe(os.dup(sys.stdin.fileno()))
    try:
        begin = pipe.received(None)
        assert isinstance(begin, Begin)
        assert begin.settings.cluster is not None
        try:
            connect(begin.settings.cluster)
        except OutsideError as error:
            pipe.send(Trouble(f"{error}; {error.remedy}"))
            return 1
        driver = Driver(begin, pipe)
        threading.Thread(target=_watch, args=(driver,), daemon=True).start()
        while not isinstance(order := pipe.received(None), EndAll):
            if isinstance(order, To):
                driver.hand_on(order)
        driver.stop(order.drain_s)
    except EOFError:
        pass
    return 0


def _watch(driver: Driver) -> None:
    try:
        driver.watch()
    except Exception:  # noqa: BLE001 - of many kinds; the service starts another driver
        _LOG.exception("the cluster can't be looked at any more")
        os._exit(1)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # Ray's own end waits for what is gone
