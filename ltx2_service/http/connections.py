"""Connections that nobody can hold for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0


class Connection(H11Protocol):
    """uvicorn's own, but closed where a request is not there `head_s` after its first byte.

    uvicorn waits for ever: for the first byte of a connection, for the end of a head that comes
    byte by byte, and for the rest of a body that was answered unread. The door limits the others.
    """

    head_s = HEAD_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends: asyncio.TimerHandle | None = None

    # As uvicorn narrows it: asyncio's own takes any transport.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client may speak now."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A client has spoken."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client is gone."""
        self._let_be()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """While a request is being answered its client may be silent; else its time runs."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._let_be()
        elif self._ends is None:
            self._ends = self.loop.call_later(self.head_s, self.transport.abort)

    def _let_be(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
