"""Inside the measured process: what parked weights take of the card, told by its buffers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import wraps
from typing import Any

Tell = Callable[[int, int], None]
"""(bytes of blocks that stay, bytes of what passes: the ring, and parts while they are used)."""


def watch_buffers(tell: Tell) -> None:
    """Let `tell` hear of each change; of an upstream that parks no weights there is none."""
    try:
        card = importlib.import_module("ltx_core.parked.card").Card
        passing = importlib.import_module("ltx_core.parked.passing").PassingBlocks
    except ImportError:
        return
    buffers = _Buffers(tell)
    card.buffer = buffers.taken_by(card.buffer)
    card.let_go = buffers.given_back_by(card.let_go)
    passing._fetch = buffers.staying(passing._fetch)  # noqa: SLF001 - a buffer taken in it is a block's that stays


class _Buffers:
    """The buffers that are there; models are used in one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._staying: dict[int, bool] = {}  # by the buffer's id
        self._bytes = {True: 0, False: 0}  # of those that stay, of the others
        self._stays = False

    def taken_by(self, take: Callable[..., Any]) -> Callable[..., Any]:
        """`take`, whose buffers are counted."""

        @wraps(take)
        def taking(card: Any, nbytes: int) -> Any:
            buffer = take(card, nbytes)
            self._staying[id(buffer)] = self._stays
            self._count(self._stays, nbytes)
            return buffer

        return taking

    def given_back_by(self, give: Callable[..., None]) -> Callable[..., None]:
        """`give`, whose buffers are counted no more."""

        @wraps(give)
        def giving(card: Any, buffer: Any) -> None:
            self._count(self._staying.pop(id(buffer)), -buffer.numel())
            give(card, buffer)

        return giving

    def staying(self, fetch: Callable[..., None]) -> Callable[..., None]:
        """`fetch`, whose buffers are those of blocks that stay."""

        @wraps(fetch)
        def fetching(blocks: Any, index: int) -> None:
            self._stays = True
            try:
                fetch(blocks, index)
            finally:
                self._stays = False

        return fetching

    def _count(self, stays: bool, nbytes: int) -> None:
        self._bytes[stays] += nbytes
        self._tell(self._bytes[True], self._bytes[False])
