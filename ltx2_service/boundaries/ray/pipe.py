"""Values to and from the driver process, pickled: both ends are of one start and one code."""

from __future__ import annotations

import contextlib
import socket
import threading
from multiprocessing.connection import Connection
from typing import Self, cast

from ltx2_service.values.driving import Order, Report


class Pipe:
    """One end. Once the other is gone nothing more is read or sent."""

    def __init__(self, number: int) -> None:
        """`number` is an open socket's, which this one has from now on."""
        self._connection = Connection(number)
        self._sending = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """An end, and the socket that the other process makes its own of."""
        ours, theirs = socket.socketpair()
        return cls(ours.detach()), theirs

    def send(self, value: Order | Report) -> bool:
        """Whether the other end can read it; in any thread."""
        try:
            with self._sending:
                self._connection.send(value)
        except OSError:
            return False
        return True

    def received(self, wait_s: float | None) -> Order | Report | None:
        """What comes within this time, None where nothing does; without one it waits for ever.

        Raises: EOFError once the other end is gone.
        """
        try:
            if not self._connection.poll(wait_s):
                return None
            return cast("Order | Report", self._connection.recv())
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        """End it, under the eyes of a thread that may be reading."""
        with contextlib.suppress(OSError):
            self._connection.close()
