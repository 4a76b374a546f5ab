"""Which attempts were given to which worker, on disk: the machines that make them may be out of
reach when the service starts.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from ltx2_patcher.boundaries import disk


class Hands:
    """A folder, a file an attempt."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "hands"

    def put(self, job: str, token: int, worker: str) -> None:
        """Note it; on disk, come a power cut, when this returns. Raises: OutsideError."""
        noted = json.dumps({"job": job, "token": token, "worker": worker}).encode("ascii")
        disk.replace(self._place(job, token), noted, durable=True)

    def drop(self, job: str, token: int) -> None:
        """Forget it, as far as the disk lets us: what is noted too much is found to be lost."""
        with contextlib.suppress(OSError):
            self._place(job, token).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, int, str]]:
        """(job, token, worker) of each."""
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # a torn one
                noted = json.loads(path.read_bytes())
                yield noted["job"], noted["token"], noted["worker"]

    def _place(self, job: str, token: int) -> Path:
        return self._folder / f"{job}.{token}.json"
