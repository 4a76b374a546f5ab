"""The copies of weights that patched scripts keep in a folder: what is there, and what may go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import copies
from ltx2_patcher.boundaries.copies import StoredCopy
from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import UsageError


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of copies."""

    folder: Path
    copies: tuple[StoredCopy, ...]  # what was used last first
    cleared: tuple[StoredCopy, ...] = ()


def look_at(folder: Path) -> Cache:
    """Raises: UsageError for a file, OutsideError."""
    _require_folder(folder)
    return Cache(folder, copies.copies_in(folder))


def clear(folder: Path) -> Cache:
    """Remove what no process makes or uses. Raises: as `look_at`."""
    _require_folder(folder)
    cleared = copies.clear(folder)
    return Cache(folder, copies.copies_in(folder), cleared)


def _require_folder(folder: Path) -> None:
    with translated(folder, reading=True):
        if folder.exists() and not folder.is_dir():
            raise UsageError(
                f"{folder} is no folder", remedy="name what a script was given as --weights-folder"
            )
