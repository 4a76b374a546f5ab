"""How attempts ended, a file each, until the store has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_service.rules.messages import parse, render
from ltx2_service.values.messages import Over


class Spool:
    """A folder of results; what is in it outlives both sides."""

    def __init__(self, shared: Path) -> None:
        """Below the folder that the service shares with its workers."""
        self._folder = shared / "spool"

    def put(self, over: Over) -> None:
        """Keep a result; on disk, come a power cut, when this returns. Raises: OutsideError."""
        disk.replace(self._place(over.job, over.token), render(over), durable=True)

    def all(self) -> Iterator[Over]:
        """Each result that is kept."""
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(FileNotFoundError, ValueError):  # settled meanwhile
                if isinstance(over := parse(path.read_bytes()), Over):
                    yield over

    def forget(self, job: str, token: int) -> None:
        """Let a result go, be it there, half written by a worker that was killed, or not."""
        place = self._place(job, token)
        with disk.translated(self._folder):
            for path in (place, *self._folder.glob(f".{place.name}.*")):
                path.unlink(missing_ok=True)

    def _place(self, job: str, token: int) -> Path:
        return self._folder / f"{job}.{token}.json"
