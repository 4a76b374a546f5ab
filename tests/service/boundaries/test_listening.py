"""Where the service listens, and what one that runs answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ltx2_patcher.values.errors import BusyError, OutsideError, UsageError
from ltx2_service.boundaries.listening import ask, listen, port_of, url_of

HERE = "127.0.0.1"


def test_a_port_that_is_in_use_is_told() -> None:
    with listen(HERE, 0) as first:
        with pytest.raises(BusyError, match=f"port {port_of(first)}") as raised:
            listen(HERE, port_of(first))
        assert "--port" in raised.value.remedy
    listen(HERE, port_of_free := 0).close()
    assert port_of_free == 0


def test_answers_leave_at_once() -> None:
    """On the connections of the server that uvicorn makes of it."""

    async def nodelay() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = listen(HERE, 0)
        async with await asyncio.start_server(connected, sock=listening):
            _, writer = await asyncio.open_connection(HERE, port_of(listening))
            writer.close()
            return await told

    assert asyncio.run(nodelay())


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(UsageError, match="no address of this machine"):
        listen("192.0.2.1", 0)
    with pytest.raises(UsageError, match="no address of this machine"):
        listen("nowhere.invalid", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (HERE, "http://127.0.0.1:6020"),
        ("0.0.0.0", "http://127.0.0.1:6020"),
        ("::", "http://[::1]:6020"),
        ("studio", "http://studio:6020"),
    ],
)
def test_a_page_is_opened_by_an_address_that_leads_there(host: str, url: str) -> None:
    assert url_of(host, 6020) == url


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/json": b'{"token": "%b"}', "/text": b"%b"}[self.path]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body % self.headers.get("Authorization", "").encode())

    def log_message(self, *_: object) -> None:
        pass


def test_answers_are_read() -> None:
    with HTTPServer((HERE, 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        assert ask(HERE, port, "/json", "secret") == (200, {"token": "Bearer secret"})
        assert ask("0.0.0.0", port, "/json") == (200, {"token": ""})
        assert ask(HERE, port, "/text") == (200, None)
        server.shutdown()
    with pytest.raises(OutsideError, match="nothing answers"):
        ask(HERE, port, "/json")
