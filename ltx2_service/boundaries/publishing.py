"""A clip that takes its place once it is whole."""

from __future__ import annotations

import os
from pathlib import Path

from ltx2_patcher.boundaries import disk


def publish(part: Path, place: Path) -> bool:
    """Put a clip in its place; on disk, come a power cut, when this returns. False: there is none.

    Raises: OutsideError, ConflictError.
    """
    with disk.translated(place):
        try:
            with part.open("rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    return False
                os.fsync(file.fileno())
        except FileNotFoundError:
            return False
        part.replace(place)
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True
