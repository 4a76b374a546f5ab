"""The picture of each running clip as it forms."""

from __future__ import annotations

import threading
from pathlib import Path

from ltx2_patcher.values.errors import InvalidError
from ltx2_service.rules.preview import preview


class Previews:
    """The latest latents of each running job; a picture is made of them when one is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latents: dict[str, bytes] = {}
        self._pictures: dict[str, tuple[bytes, bytes]] = {}  # of these latents

    def keep(self, job: str, latents: Path) -> bool:
        """Keep what a worker wrote, which removes the file with its next step; whether it was
        there.
        """
        try:
            data = latents.read_bytes()
        except OSError:
            return False  # a preview is nothing that a clip may fail for
        with self._lock:
            self._latents[job] = data
        return True

    def picture(self, job: str) -> bytes | None:
        """The latest as WEBP; None where there is none."""
        with self._lock:
            data = self._latents.get(job)
            of, made = self._pictures.get(job, (b"", b""))
        if data is None or of is data:
            return made or None
        try:
            made = preview(data)
        except InvalidError:
            return None
        with self._lock:
            if self._latents.get(job) is data:
                self._pictures[job] = (data, made)
        return made

    def forget(self, job: str) -> None:
        """The attempt has ended."""
        with self._lock:
            self._latents.pop(job, None)
            self._pictures.pop(job, None)
