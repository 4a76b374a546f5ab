"""Where copies of parked models are kept: in the folder that several processes name, else in the user's cache."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ltx_core.parked.copies import Copies, Copy

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

_GIB = 1024**3
_CACHE_BYTES = 64 * _GIB  # a transformer of 19B in bf16 with a LoRA in it, and a quantized Gemma, and as much again


class Shelves:
    """The copies that a store finds and makes. Where a folder can't be used, a warning says so, once."""

    def __init__(self, shared: Path | None) -> None:
        self._shared = shared
        self._warned = False

    def found_or_begun(self, name: Callable[[], str]) -> Copy | None:
        """Return the copy of a model that is about to be built: in a shared folder a new one where there is none."""
        if self._shared is not None:
            return self._tried(lambda: Copies(self._shared).found_or_begun(name()))
        if cache_folder().is_dir():
            return self._tried(lambda: _cache().found(name()))
        return None

    def begun_in_cache(self, name: Callable[[], str]) -> Copy | None:
        """Return a copy for a model that host memory has no room for, new or found."""
        return self._tried(lambda: _cache().found_or_begun(name()))

    def with_room(self, stored: Copy | None, nbytes: int, *, in_memory: bool) -> Copy | None:
        """Return `stored` if it is whole, or its folder has room for so many bytes; it is let go of otherwise.

        `in_memory` says whether the host has room for them too.
        """
        if stored is None or not stored.is_new:
            return stored
        if (in_memory or not stored.in_memory) and self._tried(lambda: stored.has_room(nbytes)):
            return stored
        stored.let_go()
        self._warn(
            f"{stored.folder} has no room for {nbytes / _GIB:.1f} GiB of weights, which this process keeps itself: "
            + (
                "name a --weights-folder with more, within --host-budget; a container's /dev/shm has 64 MB, or what "
                "--shm-size gives it"
                if stored.in_memory
                else "free some, see `ltx2-patcher cache`"
            )
        )
        return None

    def _tried(self, get: Callable[[], ResultT]) -> ResultT | None:
        try:
            return get()
        except OSError as error:
            self._warn(f"weights are kept by this process alone, since their folder can't be used: {error}")
            return None

    def _warn(self, sentence: str) -> None:
        if not self._warned:
            logger.warning(sentence)
        self._warned = True


def cache_folder() -> Path:
    """The user's cache of weights, by the rules of XDG; it need not exist."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "ltx2-patcher/weights"


def _cache() -> Copies:
    return Copies(cache_folder(), _CACHE_BYTES)
