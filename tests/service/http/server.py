"""A real server of an application, and who speaks to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from ltx2_service.boundaries.listening import listen, port_of
from ltx2_service.http.app import end_held
from ltx2_service.http.connections import Connection

_PATIENCE_S = 30.0  # only what hangs meets it
_servers: list[threading.Thread] = []


@contextmanager
def served(app: FastAPI, http: type[Connection] = Connection) -> Iterator[str]:
    """The address of a server of an application. It takes a moment more to end, in which the next
    test goes on; `require_ended` sees that it does.
    """
    listener = listen("127.0.0.1", 0)  # which the server closes
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", http=http))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    _servers.append(thread)
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port_of(listener)}"
    finally:
        end_held(app)
        server.should_exit = True


def require_ended() -> None:
    """Every server that was asked to end has ended."""
    for thread in _servers:
        thread.join(_PATIENCE_S)
        assert not thread.is_alive(), "a server does not end"


def client_of(address: str, **headers: str) -> httpx.Client:
    """Speaks to a server of this machine: no certificates are read for that."""
    return httpx.Client(base_url=address, headers=headers, timeout=20, verify=False)


def until(met: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    ends_s = time.monotonic() + _PATIENCE_S
    while not met():
        assert time.monotonic() < ends_s, "it did not come to hold"
        time.sleep(0.002)
