"""Clients that say as little as they can, as slowly as they can."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import chain, repeat

import pytest

from ltx2_service.http.app import create_app
from ltx2_service.http.connections import Connection
from ltx2_service.values.settings import Settings
from tests.service.http.server import served, until
from tests.service.http.small_service import SmallService


class Hasty(Connection):
    """Waits so shortly that a test may wait for it."""

    head_s = 0.3


@pytest.fixture
def port(service: SmallService, settings: Settings) -> Iterator[int]:
    with served(create_app(service, settings), http=Hasty) as address:
        yield int(address.rpartition(":")[2])


def said_until_closed(port: int, pieces: Iterator[bytes]) -> bytes:
    """What the server says to a client that sends a piece now and then, until it hangs up."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(0.02)
        while True:
            try:
                client.sendall(next(pieces, b""))
                if not (more := client.recv(1 << 16)):
                    return heard
                heard += more
            except TimeoutError:
                continue
            except ConnectionError:
                return heard


@pytest.mark.parametrize(
    ("pieces", "heard"),
    [
        pytest.param([], b"", id="nothing"),
        pytest.param(chain([b"GET /livez HTTP/1.1\r\nX-Long: "], repeat(b"x")), b"", id="a head"),
        pytest.param(
            chain([b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nG"], repeat(b"E")),
            b'{"alive":true}',
            id="a second head",
        ),
        pytest.param(
            chain(
                [b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"],
                repeat(b"x"),
            ),
            b'{"alive":true}',
            id="a body that nobody reads",
        ),
    ],
)
def test_who_asks_for_nothing_is_not_waited_for(
    port: int, pieces: Iterator[bytes], heard: bytes
) -> None:
    assert said_until_closed(port, iter(pieces)).endswith(heard)


def test_who_waits_for_an_answer_may_be_silent(service: SmallService, port: int) -> None:
    """And asks again on the same connection."""
    service.holds = True
    client = HTTPConnection("127.0.0.1", port)
    with closing(client), socket.create_connection(("127.0.0.1", port)) as other:
        client.request("POST", "/generate/text2video", b'{"prompt": "x"}')
        until(lambda: service.rows)
        while other.recv(1):  # closed once it was silent for too long
            pass
        (job,) = service.rows
        service.end(job)
        assert json.load(client.getresponse())["success"]
        asked_on = client.sock
        client.request("GET", "/livez")
        assert client.getresponse().status == 200
        assert client.sock is asked_on
