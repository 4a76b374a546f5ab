"""A real server of the application, over the small service."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

from ltx2_service.boundaries.listening import listen, port_of
from ltx2_service.http.app import create_app, end_held
from ltx2_service.values.settings import Model, Settings
from tests.service.http.small_service import SmallService


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    model = Model("small", "1.2.0", "distilled", {})
    return Settings((model,), tmp_path / "state", tmp_path / "clips")


@pytest.fixture
def service(settings: Settings) -> SmallService:
    return SmallService(settings)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of a real server of an application."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{port_of(listener)}"
        finally:
            end_held(app)
            server.should_exit = True
            thread.join()


class Serve(Protocol):
    def __call__(self, service: SmallService, **headers: str) -> httpx.Client: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes a client of a service's own server."""
    with ExitStack() as opened:

        def client(service: SmallService, **headers: str) -> httpx.Client:
            address = opened.enter_context(served(create_app(service, service.settings)))
            return opened.enter_context(httpx.Client(base_url=address, headers=headers, timeout=20))

        yield client


@pytest.fixture
def http(service: SmallService, serve: Serve) -> httpx.Client:
    return serve(service)


def until(met: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    while not met():
        time.sleep(0.002)


def picture(format_: str = "PNG", size: tuple[int, int] = (32, 24), mode: str = "RGB") -> bytes:
    """A picture's file."""
    data = io.BytesIO()
    Image.new(mode, size).save(data, format_)
    return data.getvalue()
