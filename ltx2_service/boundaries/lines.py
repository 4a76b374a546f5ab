"""Messages over a Unix socket, a line each."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from pathlib import Path
from typing import Self

from ltx2_service.boundaries.berth import short_path
from ltx2_service.rules.messages import parse, render
from ltx2_service.values.messages import Ask, Tell

_MOST_BYTES = 16 << 20  # of a line: a prompt and the variables are far shorter
_SEND_S = 2.0  # who takes nothing for so long has stopped


class Connection:
    """One side of a connection. Once the other is gone nothing more is read or sent."""

    def __init__(self, of: socket.socket) -> None:
        self._socket = of
        self._socket.settimeout(_SEND_S)
        self._sending = threading.Lock()
        self._rest = b""

    @classmethod
    def to(cls, place: Path) -> Self | None:
        """A connection to who listens there; None where nobody does."""
        of = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        of.settimeout(_SEND_S)
        try:
            with short_path(place) as path:
                of.connect(path)
        except OSError:
            of.close()
            return None
        return cls(of)

    def fileno(self) -> int:
        """For select; -1 once it is closed."""
        return self._socket.fileno()

    def send(self, message: Ask | Tell) -> bool:
        """Whether the other side can read it; in any thread."""
        try:
            with self._sending:
                self._socket.sendall(render(message) + b"\n")
        except OSError:
            return False
        return True

    def messages(self, wait_s: float) -> list[Ask | Tell] | None:
        """What came within this time; None once the other side is gone, or says what is none."""
        try:
            if not select.select([self._socket], [], [], wait_s)[0]:
                return []
            data = self._socket.recv(1 << 16)
            *whole, self._rest = (self._rest + data).split(b"\n")
            if not data or len(self._rest) > _MOST_BYTES:
                return None
            return [parse(line) for line in whole]
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End it; the other side reads what was sent before."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Listener:
    """A socket that takes connections; a context manager, at whose end it is gone."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        place.unlink(missing_ok=True)
        with short_path(place) as path:
            self._socket.bind(path)
        self._socket.listen()
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._place.unlink(missing_ok=True)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def accepted(self) -> Connection | None:
        """A connection that somebody made; None where nobody did."""
        try:
            return Connection(self._socket.accept()[0])
        except BlockingIOError:
            return None
