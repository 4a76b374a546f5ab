"""The service in the foreground, until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

import uvicorn
from fastapi import FastAPI

from ltx2_service.boundaries.executor import Executor
from ltx2_service.boundaries.listening import listen, port_of, url_of
from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.boundaries.lock import Holder, held
from ltx2_service.boundaries.ray.executor import RayExecutor
from ltx2_service.http.app import create_app, end_held
from ltx2_service.http.connections import Connection
from ltx2_service.jobs.service import Service
from ltx2_service.rules.offer import Offer
from ltx2_service.values.judged import Judge
from ltx2_service.values.settings import Settings

_LAST_ANSWERS_S = 5  # that requests under way get once no clip is
_WORKERS_S = 5  # that idle workers get to give back what they hold
_KEPT_S = 20  # that an idle connection is kept: clients are told to ask every 5 s at least
_POLL_S = 0.1
_SWITCH_S = 0.0005  # that an answer waits for a thread at work; Python's own are 5 ms
_DRAIN, _LEAVE = (signal.SIGTERM, signal.SIGINT), signal.SIGHUP


def serve(settings: Settings, judge: Judge, offers: Sequence[Offer] = ()) -> int:
    """Serve until a signal; the exit code. `offers` are what the page lets its models be asked for.

    SIGTERM and Ctrl-C end it once the clips under way are made, or `drain_s` have passed; again,
    at once. SIGHUP, which a closed terminal sends too, ends it and leaves the workers at work: the
    next start finds them.

    Raises: BusyError where the state folder or the port is in use; OutsideError where the workers
    or the database can't be had.
    """
    sys.setswitchinterval(_SWITCH_S)
    with held(settings.state) as tell, listen(settings.host, settings.port) as listening:
        port = port_of(listening)
        service = Service(settings, _executor(settings), judge)
        app = create_app(service, settings, offers)
        server = _Server(_configured(app))
        service.start()
        ending = _Ending(service, settings.drain_s)
        with ending.heard(lambda: _let_go(app, server)):
            try:
                tell(Holder(os.getpid(), settings.host, port))
                _say(f"serving on {url_of(settings.host, port)}/ ; Ctrl-C ends it")
                asyncio.run(server.serve(sockets=[listening]))
            finally:
                ending.finish()
    return 0 if ending.asked else 1  # uvicorn has said why it did not start


def _executor(settings: Settings) -> Executor:
    return LocalExecutor(settings) if settings.cluster is None else RayExecutor(settings)


def _configured(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEPT_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )


def _let_go(app: FastAPI, server: uvicorn.Server) -> None:
    """Answer what is held, and no more."""
    end_held(app)
    server.should_exit = True


class _Server(uvicorn.Server):
    """One that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Ending:
    """Ends the service when a signal asks for it; answers go on until the clips under way are
    made, so that whoever waits for one gets it.
    """

    def __init__(self, service: Service, drain_s: float) -> None:
        self._service, self._drain_s = service, drain_s
        self._signals: SimpleQueue[int] = SimpleQueue()  # a handler may put into it at any point
        self._leaves = False
        self.asked = False

    @contextmanager
    def heard(self, let_go: Callable[[], None]) -> Iterator[None]:
        """Signals are taken for wishes; `let_go` is called when answers are to end."""
        Thread(target=self._drain, args=(let_go,), name="ending", daemon=True).start()
        before = {number: signal.signal(number, self._hear) for number in (*_DRAIN, _LEAVE)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def finish(self) -> None:
        """End what is left, once nobody asks any more."""
        if self._leaves or not self.asked:
            self._service.leave()
        else:
            self._service.stop(_WORKERS_S)

    def _hear(self, number: int, _frame: object) -> None:
        if self.asked:
            os._exit(128 + number)  # what was accepted is in the database
        self.asked = True
        self._leaves = number == _LEAVE
        self._signals.put(number)

    def _drain(self, let_go: Callable[[], None]) -> None:
        self._signals.get()
        try:
            self._service.drain()
            if not self._leaves:
                _say(f"ending: clips under way get {self._drain_s:g} s; again ends it at once")
                end_s = time.monotonic() + self._drain_s
                while self._service.queue().running and time.monotonic() < end_s:
                    time.sleep(_POLL_S)
        finally:
            let_go()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
