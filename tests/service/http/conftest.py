"""A real server of the application, over the small service."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from PIL import Image

from ltx2_service.http.app import create_app
from ltx2_service.values.settings import Model, Settings
from tests.service.http.server import client_of, served
from tests.service.http.small_service import SmallService


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    model = Model("small", "1.2.0", "distilled", {})
    return Settings((model,), tmp_path / "state", tmp_path / "clips")


@pytest.fixture
def service(settings: Settings) -> SmallService:
    return SmallService(settings)


class Serve(Protocol):
    def __call__(self, service: SmallService, **headers: str) -> httpx.Client: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes a client of a service's own server."""
    with ExitStack() as opened:

        def client(service: SmallService, **headers: str) -> httpx.Client:
            address = opened.enter_context(served(create_app(service, service.settings)))
            return opened.enter_context(client_of(address, **headers))

        yield client


@pytest.fixture
def http(service: SmallService, serve: Serve) -> httpx.Client:
    return serve(service)


def picture(format_: str = "PNG", size: tuple[int, int] = (32, 24), mode: str = "RGB") -> bytes:
    """A picture's file."""
    data = io.BytesIO()
    Image.new(mode, size).save(data, format_)
    return data.getvalue()
