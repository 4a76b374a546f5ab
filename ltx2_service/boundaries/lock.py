"""Who serves a state folder: one process at a time, told by a lock that goes with it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import BusyError

_NAME = "service.lock"
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that serves."""

    pid: int
    host: str
    port: int


@contextmanager
def held(state: Path) -> Iterator[Callable[[Holder], None]]:
    """Hold the state folder; what is yielded takes who serves it, once that is known. The system
    drops the lock when this process ends, however it does.

    Raises: BusyError where another process serves it, OutsideError where it can't be written.
    """
    place = state / _NAME
    with translated(state):
        state.mkdir(parents=True, exist_ok=True)
        file = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(file):
            raise busy(state, _read(file))
        os.ftruncate(file, 0)

        def tell(holder: Holder) -> None:
            with translated(place):
                os.pwrite(file, json.dumps(asdict(holder)).encode(), 0)

        yield tell
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    """Whether the lock is ours. Who only looks holds it for a moment, so that is waited out."""
    deadline = time.monotonic() + _LOOK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def busy(state: Path, by: Holder | None) -> BusyError:
    """The error where another process serves."""
    who = "another process" if by is None else f"process {by.pid}, on port {by.port},"
    return BusyError(
        f"{who} serves {state} already",
        remedy="end it with `ltx2-patcher serve stop`, or set another state folder",
    )


def is_held(state: Path) -> bool:
    """Whether a process serves the state folder. Raises: OutsideError."""
    return _looked(state)[0]


def holder(state: Path) -> Holder | None:
    """The process that serves the state folder; None where none does, or begins only now.

    Raises: OutsideError.
    """
    return _looked(state)[1]


def _looked(state: Path) -> tuple[bool, Holder | None]:
    place = state / _NAME
    with translated(place, reading=True):
        try:
            file = os.open(place, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return False, None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, _read(file)
        finally:
            os.close(file)
    return False, None


def _read(file: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(file, 1 << 12, 0)))
    except (ValueError, TypeError):
        return None
