"""Files that lie in memory: mapped, read ahead, told from memory of the process's own, read where they are mapped."""

import ctypes
import mmap
import os
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_REMOVED = " (deleted)"  # proc_pid_maps(5): what the path of a removed file ends with
_FAILED = ctypes.c_void_p(-1).value


def mapped(file: int, offset: int, nbytes: int, *, writable: bool) -> torch.Tensor:
    """Return a part of an open file (uint8, 1-D), at an offset of whole pages; what is written to it, all see.

    It ends with the tensors over it. Python's own mmap keeps a descriptor for each, which a locked file can't have.
    Raises: OSError.
    """
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    address = _LIBC.mmap(None, nbytes, prot, mmap.MAP_SHARED, file, offset)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    pages = (ctypes.c_ubyte * nbytes).from_address(address)
    weakref.finalize(pages, _LIBC.munmap, address, nbytes).atexit = False
    return torch.frombuffer(pages, dtype=torch.uint8)


def read_ahead(tensor: torch.Tensor) -> None:
    """Let the system begin to read a tensor that lies in a file; nothing where it lies elsewhere."""
    start = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
    _LIBC.madvise(start, tensor.data_ptr() + tensor.nbytes - start, mmap.MADV_WILLNEED)


class FileRanges:
    """Where files that have a name are mapped in this process now."""

    def __init__(self) -> None:
        maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
        lines = [line.split(maxsplit=5) for line in maps.splitlines()]
        named = [words for words in lines if words[4] != "0" and not words[-1].endswith(_REMOVED)]  # by their inode
        ranges = map(_Range.of, named)
        self._ranges = sorted(ranges, key=lambda one: one.start)
        self._starts = [one.start for one in self._ranges]
        self._files: dict[str, OpenFile | None] = {}

    def hold(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in a file."""
        return self._range_of(tensor) is not None

    def stretch_of(self, tensor: torch.Tensor) -> "Stretch | None":
        """Return where a contiguous tensor lies in a file that can be read; None where it lies in none."""
        if (found := self._range_of(tensor)) is None or tensor.data_ptr() + tensor.nbytes > found.end:
            return None
        if found.path not in self._files:
            self._files[found.path] = OpenFile.of(found.path, found.inode)
        file = self._files[found.path]
        return None if file is None else Stretch(file, found.offset + tensor.data_ptr() - found.start)

    def _range_of(self, tensor: torch.Tensor) -> "_Range | None":
        index = bisect_right(self._starts, tensor.data_ptr()) - 1
        found = self._ranges[index] if index >= 0 else None
        return found if found is not None and tensor.data_ptr() < found.end else None


@dataclass(frozen=True)
class _Range:
    """A line of /proc/self/maps."""

    start: int
    end: int
    offset: int  # of `start` in the file
    inode: int
    path: str

    @classmethod
    def of(cls, words: Sequence[str]) -> "_Range":
        start, _, end = words[0].partition("-")
        return cls(int(start, 16), int(end, 16), int(words[2], 16), int(words[4]), words[5] if len(words) > 5 else "")


class OpenFile:
    """A file that is open to be read, as long as somebody holds this."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def of(cls, path: str, inode: int) -> "OpenFile | None":
        """Open the file; None where another lies there by now, or none that this process may read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        opened = cls(path, descriptor)
        return opened if os.fstat(descriptor).st_ino == inode else None

    def read(self, offset: int, address: int, nbytes: int) -> None:
        """Read so many bytes to an address. Raises: OSError."""
        wanted = memoryview((ctypes.c_ubyte * nbytes).from_address(address)).cast("B")
        while wanted:
            count = os.preadv(self._descriptor, [wanted], offset)
            if not count:
                raise OSError(f"{self._path} was cut off while it was read")
            wanted, offset = wanted[count:], offset + count


@dataclass(frozen=True)
class Stretch:
    """From where on something lies in a file, in bytes."""

    file: OpenFile
    offset: int

    def read(self, start: int, address: int, nbytes: int) -> None:
        """Read so many bytes, from `start` on, to an address. Raises: OSError."""
        self.file.read(self.offset + start, address, nbytes)
