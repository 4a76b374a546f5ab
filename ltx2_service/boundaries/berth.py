"""The place of one worker in the state folder: its lock, socket, log and previews.

The lock is the truth of whether a worker lives: the system drops it with the process, and tells who
holds it. What a worker starts carries a mark in its variables, by which it is found once the worker
is gone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ltx2_patcher.boundaries import disk
from ltx2_patcher.values.errors import OutsideError

_MARK = "LTX2_SERVICE_WORKER"
_LOCK = "hhqqi4x"  # Linux's struct flock on 64 bits: kind, whence, start, length, pid
_LOG_BYTES = 16 << 20
_TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class Berth:
    """Where the worker of that name is found."""

    state: Path  # absolute
    name: str  # "gpu0"

    @property
    def folder(self) -> Path:
        """What all workers of a service share; nobody else can read it."""
        return self.state / "workers"

    @property
    def lock(self) -> Path:
        """Held by the worker as long as it lives."""
        return self.folder / f"{self.name}.lock"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f"{self.name}.sock"

    @property
    def log(self) -> Path:
        """What it and its scripts write to stderr."""
        return self.folder / f"{self.name}.log"

    @property
    def previews(self) -> Path:
        """Folder of the latents of the attempt in hand."""
        return self.folder / f"{self.name}.previews"

    @property
    def mark(self) -> Mapping[str, str]:
        """What the variables of each process hold that the worker starts."""
        return {_MARK: str(self.state / self.name)}

    def make(self) -> None:
        """Make what is lacking. Raises: OutsideError."""
        with disk.translated(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.previews.mkdir(exist_ok=True)

    def empty_previews(self) -> None:
        """Remove the latents of the attempt before."""
        with contextlib.suppress(OSError):
            for path in self.previews.iterdir():
                path.unlink(missing_ok=True)

    def take(self) -> IO[bytes] | None:
        """The lock, for as long as the file is open; None where another process holds it."""
        with disk.translated(self.lock):
            file = self.lock.open("ab")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return None
            raise
        return file

    def holder(self) -> int | None:
        """The id of the worker's process; None where none lives."""
        try:
            file = self.lock.open("rb")
        except FileNotFoundError:
            return None
        with file:
            asked = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, *_, pid = struct.unpack(_LOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else int(pid)

    def clear(self, wait_s: float = 10.0) -> None:
        """End the worker at once, with all that it started. Raises: OutsideError where it stays."""
        deadline = time.monotonic() + wait_s
        while (pid := self.holder()) is not None:
            _kill(pid)
            if time.monotonic() > deadline:
                raise OutsideError(
                    f"the worker {self.name}, process {pid}, can't be ended",
                    remedy="see what it waits for; a driver that hangs asks for a reboot",
                )
            time.sleep(_TICK_S)
        self.tidy()

    def tidy(self) -> None:
        """End what a worker that is gone had started; another one that is up has done so itself."""
        if (held := self.take()) is not None:
            with held:
                self.sweep()

    def sweep(self) -> None:
        """As `tidy`, for whoever holds the lock."""
        for _ in range(200):  # until none is left: one that starts another is not ended in between
            left = [pid for pid, mark in _marked() if mark == self.state / self.name]
            if not left:
                return
            for pid in left:
                _kill(pid)
            time.sleep(_TICK_S)

    def rotate_log(self) -> None:
        """Put the log aside where it has grown large; who writes it goes on at its beginning."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_BYTES:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)


@contextlib.contextmanager
def short_path(socket: Path) -> Iterator[str]:
    """A path of a socket that fits into its address, which holds 108 bytes."""
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)


def started_by_workers(state: Path) -> Iterator[int]:
    """Each process that a worker below that absolute folder has started, here as a node too."""
    return (pid for pid, mark in _marked() if state in mark.parents)


def _marked() -> Iterator[tuple[int, Path]]:
    """Each process that carries a mark, with that, and is no zombie."""
    begins = f"{_MARK}=".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                for variable in (folder / "environ").read_bytes().split(b"\0"):
                    if variable.startswith(begins):
                        yield int(folder.name), Path(os.fsdecode(variable[len(begins) :]))


def _kill(pid: int) -> None:
    """End a process, and its group where it leads one."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
