"""Latents that came from another machine, as files for whoever makes a preview of them."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from ltx2_patcher.boundaries import disk

_KEPT = 2  # of a job: one may be read just now


class Latents:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._kept: dict[str, deque[Path]] = {}

    def put(self, job: str, data: bytes) -> Path | None:
        """The file that holds them; the oldest of the job's goes. None where the disk has no room:
        a preview is nothing that a clip may fail for.
        """
        self._number += 1
        place = self._folder / f"{job}.{self._number}.npy"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.write_bytes(data)
        except OSError:
            return None
        kept = self._kept.setdefault(job, deque())
        kept.append(place)
        while len(kept) > _KEPT:
            kept.popleft().unlink(missing_ok=True)
        return place

    def forget(self, job: str) -> None:
        """The job's last go too."""
        for place in self._kept.pop(job, ()):
            place.unlink(missing_ok=True)

    def clear(self) -> None:
        """Nothing of an earlier service is left. Raises: OutsideError."""
        with disk.translated(self._folder):
            for place in self._folder.glob("*.npy"):
                place.unlink(missing_ok=True)
