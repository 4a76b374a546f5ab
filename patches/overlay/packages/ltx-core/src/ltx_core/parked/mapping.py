"""Files that lie in memory: mapped, read ahead, told from memory of the process's own."""

import ctypes
import mmap
import os
import weakref
from bisect import bisect_right
from pathlib import Path

import torch

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
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
    """Where files are mapped in this process now."""

    def __init__(self) -> None:
        maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
        lines = [line.split(maxsplit=5) for line in maps.splitlines()]
        spans = [words[0].split("-") for words in lines if words[4] != "0"]  # by their inode
        self._starts = [int(start, 16) for start, _ in spans]
        self._ends = [int(end, 16) for _, end in spans]

    def hold(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in a file."""
        index = bisect_right(self._starts, tensor.data_ptr()) - 1
        return index >= 0 and tensor.data_ptr() < self._ends[index]
