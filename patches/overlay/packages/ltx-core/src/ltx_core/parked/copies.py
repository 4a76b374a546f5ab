"""Copies of parked models in a folder, one file each: for several processes if it lies in memory, else for later.

    LTXModel-0123...cdef.weights    whole: the buffers of its units one after the other, then what they are (JSON)
    LTXModel-0123...cdef.part       being made
    .lock                           held for a moment by whoever finds, finishes or removes one

Whoever uses or makes a copy holds a lock on its file (flock), which ends with the process, however that ends. What
nobody holds may be removed: in memory it goes with its last user, on a disk it stays until a new one needs its room.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.mapping import mapped

logger = logging.getLogger(__name__)

_WHOLE, _PART = ".weights", ".part"
_ALIGNMENT = 2 * 1024**2  # bytes: a huge page, where the folder has those
_END = b"ltx2copy"  # the last bytes of a whole copy, behind the length of the JSON (8 bytes, little-endian)
_VERSION = 1
_SPARE = 4 * 1024**3  # bytes of a disk that are left to others


class CopyDiffersError(Exception):
    """A copy holds another model than its name says."""


class Copies:
    """The copies in one folder. On a disk they take `most_bytes` at most, and leave 4 GiB free."""

    def __init__(self, folder: Path, most_bytes: int | None = None) -> None:
        """Make the folder, for this user alone, where there is none. Raises: OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.in_memory = _lies_in_memory(folder)
        self._most_bytes = most_bytes

    def found(self, name: str) -> "Copy | None":
        """Return the copy of that name, held; None where there is no whole one. Raises: OSError."""
        with self._locked():
            return self._opened(name)

    def found_or_begun(self, name: str) -> "Copy":
        """Return the copy of that name, or a new one to be filled; wait where another process makes it.

        Raises: OSError.
        """
        while True:
            with self._locked():
                if (copy := self._opened(name)) is not None:
                    return copy
                file = os.open(self.path(name, whole=False), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if _locks(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    os.ftruncate(file, 0)  # of a maker that was killed
                    return Copy(self, name, file)
            logger.info(f"{name}: another process makes its copy in {self.folder}")
            fcntl.flock(file, fcntl.LOCK_SH)
            os.close(file)

    def make_room(self, nbytes: int) -> bool:
        """Say whether so many bytes fit, once what nobody uses is removed: in memory all of it, on a disk what has to.

        There, what was used last stays longest. Raises: OSError.
        """
        with self._locked():
            for path in self.folder.glob(f"*{_PART}"):
                _remove_unheld(path)
            for path in sorted(self.folder.glob(f"*{_WHOLE}"), key=_last_use):
                if self.in_memory or not self._has_room(nbytes):
                    _remove_unheld(path)
            return self._has_room(nbytes)

    def path(self, name: str, *, whole: bool) -> Path:
        return self.folder / f"{name}{_WHOLE if whole else _PART}"

    def publish(self, name: str, file: int) -> None:
        """A part is whole. Raises: OSError."""
        with self._locked():
            self.path(name, whole=False).rename(self.path(name, whole=True))
            fcntl.flock(file, fcntl.LOCK_SH)

    def remove(self, name: str) -> None:
        """Remove a whole copy, which its users keep until they end."""
        with self._locked():
            self.path(name, whole=True).unlink(missing_ok=True)

    def ended(self, name: str, file: int) -> None:
        """This process uses a copy no more."""
        with contextlib.suppress(OSError), self._locked():  # the folder may be gone
            part = self.path(name, whole=False)
            if part.exists() and os.path.samestat(part.stat(), os.fstat(file)):
                part.unlink()
        fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile has it open too
        os.close(file)
        with contextlib.suppress(OSError):
            if self.in_memory:
                self.make_room(0)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        file = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _opened(self, name: str) -> "Copy | None":
        path = self.path(name, whole=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            units, state = _read_end(file)
        except (ValueError, LookupError, TypeError, AttributeError):  # cut off, or of another version of ours
            path.unlink()
            os.close(file)
            return None
        os.utime(file)
        return Copy(self, name, file, units, state)

    def _has_room(self, nbytes: int) -> bool:
        free = shutil.disk_usage(self.folder).free - (0 if self.in_memory else _SPARE)
        taken = sum(path.stat().st_size for path in self.folder.glob(f"*{_WHOLE}"))
        return nbytes <= free and (self._most_bytes is None or taken + nbytes <= self._most_bytes)


class Copy:
    """One copy, held by this process: found whole, or begun, to be filled unit by unit and finished."""

    def __init__(
        self,
        copies: Copies,
        name: str,
        file: int,
        units: list[tuple[int, Layout]] | None = None,
        state: object = None,
    ) -> None:
        self.is_new = units is None
        self.in_memory, self.folder = copies.in_memory, copies.folder
        self.state = state  # what was given to `finish`
        self._copies, self._name, self._file = copies, name, file
        self._units: list[tuple[int, Layout]] = units or []  # each with where it begins, in bytes
        self._claimed = 0
        self._is_open = self.is_new
        self._ended = weakref.finalize(self, copies.ended, name, file)

    def has_room(self, nbytes: int) -> bool:
        """Whether so many bytes find room in its folder, where room is made for them. Raises: OSError."""
        return self._copies.make_room(nbytes)

    def unit(self, layout: Layout, fill: Callable[[list[torch.Tensor]], None]) -> int | None:
        """Return the number of the next unit; in a new copy `fill` is given its tensors to be filled.

        None where a new copy had no room: it is given up then. Raises: CopyDiffersError.
        """
        number = self._claimed
        self._claimed += 1
        if not self.is_new:
            if number >= len(self._units) or self._units[number][1] != layout:
                raise CopyDiffersError(self._name)
            return number
        if not self._is_open:
            return None
        offset = self._next_offset()
        try:
            if layout.nbytes:  # a hole that finds no room when it is written to would end the process
                os.posix_fallocate(self._file, offset, layout.nbytes)
        except OSError as error:
            self.give_up(error)
            return None
        self._units.append((offset, layout))
        fill(layout.views(self.mapped(number, writable=True)))
        return number

    def mapped(self, number: int, *, writable: bool = False) -> torch.Tensor:
        """Return the buffer of a unit (uint8, 1-D). What is written to it, all processes see."""
        offset, layout = self._units[number]
        if not layout.nbytes:
            return torch.empty(0, dtype=torch.uint8)
        return mapped(self._file, offset, layout.nbytes, writable=writable)

    def finish(self, state: object) -> None:
        """A new copy is whole, and `state` (JSON) goes with it; others find it from now on."""
        if not self._is_open:
            return
        units = [[offset, [form.stated() for form in layout.forms]] for offset, layout in self._units]
        told = json.dumps({"version": _VERSION, "units": units, "state": state}).encode("ascii")
        end = told + len(told).to_bytes(8, "little") + _END
        try:
            os.posix_fallocate(self._file, offset := self._next_offset(), len(end))
            os.pwrite(self._file, end, offset)
            if not self.in_memory:
                os.fsync(self._file)
            self._copies.publish(self._name, self._file)
            self._is_open = False
        except OSError as error:
            self.give_up(error)

    def give_up(self, reason: object) -> None:
        """Make no copy; the units that are in it stay, for this process alone."""
        if self._is_open:
            logger.warning(f"{self.folder} takes no copy of {self._name}, so this process keeps its own: {reason}")
            with contextlib.suppress(OSError):
                self._copies.path(self._name, whole=False).unlink(missing_ok=True)
            self._is_open = False
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def discard(self) -> None:
        """Let nobody find it any more. Raises: OSError."""
        self._copies.remove(self._name)
        self.let_go()

    def let_go(self) -> None:
        """This process uses it no more, but for what it has mapped."""
        self._ended()

    def _next_offset(self) -> int:
        offset, layout = self._units[-1] if self._units else (0, Layout.of(()))
        return -(-(offset + layout.nbytes) // _ALIGNMENT) * _ALIGNMENT


def _locks(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    return True


def _remove_unheld(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if _locks(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
        path.unlink()
    os.close(file)


def _last_use(path: Path) -> int:
    return path.stat().st_mtime_ns


def _read_end(file: int) -> tuple[list[tuple[int, Layout]], object]:
    """Return what `Copy.finish` wrote. Raises: ValueError, LookupError, TypeError, AttributeError."""
    size = os.fstat(file).st_size
    ending = os.pread(file, 16, max(size - 16, 0))
    if ending[8:] != _END:
        raise ValueError("it is cut off")
    length = int.from_bytes(ending[:8], "little")
    told = json.loads(os.pread(file, length, size - 16 - length))
    if told["version"] != _VERSION:
        raise ValueError("it is of another version")
    return [(offset, Layout.of(map(Form.of_stated, forms))) for offset, forms in told["units"]], told["state"]


def _lies_in_memory(folder: Path) -> bool:
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0] == "tmpfs"
    return False
