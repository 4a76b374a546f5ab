"""The folder of clips, with what lies beside each: its settings, its pictures, a tagged copy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.disk import replace, translated
from ltx2_service.rules.names import attempt_of, clip_name, part_name


class Clips:
    """The folder `root`, which is made where it is missing. Raises: OutsideError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with translated(root):
            root.mkdir(parents=True, exist_ok=True)

    def place(self, job: str, token: int) -> Path:
        """Where an attempt's clip stands once it is whole."""
        return self.root / clip_name(job, token)

    def part(self, job: str, token: int) -> Path:
        """Where an attempt writes its clip."""
        return self.root / part_name(job, token)

    def write_settings(self, job: str, settings: Mapping[str, Any]) -> None:
        """What a clip was made from, beside it. Raises: OutsideError."""
        text = json.dumps(settings, indent=1, ensure_ascii=False, sort_keys=True)
        replace(self._settings(job), text.encode("utf-8", "backslashreplace") + b"\n")

    def thumbnail(self, clip: Path) -> Path:
        """Where a clip's first picture stands."""
        return clip.with_suffix(".thumbnail.webp")

    def spritesheet(self, clip: Path) -> Path:
        """Where a sheet of a clip's pictures stands."""
        return clip.with_suffix(".spritesheet.jpg")

    def tagged(self, clip: Path) -> Path:
        """Where a copy of a clip stands that has its settings inside."""
        return clip.with_suffix(".tagged.mp4")

    def remove(self, job: str, clip: Path) -> None:
        """A clip is gone with all that lies beside it. Raises: OutsideError."""
        pictures = (self.thumbnail(clip), self.spritesheet(clip))
        with translated(self.root):
            for path in (self._settings(job), *pictures, self.tagged(clip), clip):
                path.unlink(missing_ok=True)

    def drop_attempt(self, job: str, token: int) -> None:
        """What an attempt left that does not count is gone, as far as the disk lets it."""
        self.drop_part(job, token)
        with contextlib.suppress(OSError):
            self.place(job, token).unlink(missing_ok=True)

    def drop_part(self, job: str, token: int) -> None:
        """What an attempt left of a clip is gone, as far as the disk lets it."""
        with contextlib.suppress(OSError):
            self.part(job, token).unlink(missing_ok=True)

    def attempts(self) -> Iterator[tuple[str, int]]:
        """The job and the token of each clip, and of each part of one, in the folder."""
        with translated(self.root, reading=True):
            names = [path.name for path in self.root.iterdir()]
        yield from dict.fromkeys(found for name in names if (found := attempt_of(name)))

    def _settings(self, job: str) -> Path:
        return self.root / f"{job}.json"
