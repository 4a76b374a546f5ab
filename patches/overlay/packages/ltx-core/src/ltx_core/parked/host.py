"""Host memory that a card reads at full speed: on huge pages, registered once it is filled, within a budget."""

import ctypes
import logging
import mmap
import re
from collections.abc import Callable
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

_HUGE_PAGE = 2 * 1024**2  # x86-64's and arm64's with 4 KiB pages
_SPARE = 4 * 1024**3  # bytes that are left to the process itself and to others
_READ_ONLY = 0x08  # cudaHostRegisterReadOnly


class HostMemory:
    """Buffers of a process, in plain memory where there is no card to register them with.

    `budget` is what they may take, in bytes; None is what is free when the first is asked for, less 4 GiB.
    """

    def __init__(self, device: torch.device, budget: int | None) -> None:
        self._registers = device.type == "cuda"
        self._registers_read_only = self._registers
        self._held = 0
        self.budget = budget

    def has_room(self, nbytes: int) -> bool:
        """Whether a buffer of so many bytes stays within the budget."""
        if self.budget is None:
            self.budget = self._held + _free_bytes() - _SPARE
        return self._held + nbytes <= self.budget

    def buffer(self, nbytes: int) -> torch.Tensor:
        """Return `nbytes` of memory (uint8, 1-D), to be filled and given to `register`, and in the end to `let_go`."""
        # Of its own: there are no huge pages of what forks share, Python's default.
        own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        pages = mmap.mmap(-1, max(-(-nbytes // _HUGE_PAGE), 1) * _HUGE_PAGE, flags=own)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        self.count(nbytes)
        return torch.frombuffer(pages, dtype=torch.uint8)[:nbytes]  # it keeps the mapping alive

    def count(self, nbytes: int) -> None:
        """So many bytes more are held in memory that is not `buffer`'s."""
        self._held += nbytes

    def register(self, buffer: torch.Tensor) -> bool:
        """Lock the pages of `buffer`, so that the card copies them by itself; False where they stay pageable."""
        if not self._registers or not buffer.numel():
            return False
        code = _register(buffer, 0)
        if code != 0:
            self._registers = False
            logger.warning(
                f"the system locks no more host memory for the card (CUDA error {code}): what is not locked yet is "
                "copied more slowly; raise `ulimit -l`, or give a container more memory"
            )
        return code == 0

    def shared(self, mapped: Callable[[bool], torch.Tensor]) -> tuple[torch.Tensor, bool]:
        """Return what other processes map too, and whether the card copies it by itself.

        `mapped` maps it, for writing where it is given True: a driver may lock no other memory. It is not counted.
        """
        buffer = mapped(False)
        if self._registers_read_only and buffer.numel():
            if _register(buffer, _READ_ONLY) == 0:
                return buffer, True
            self._registers_read_only = False
        if self._registers:
            buffer = mapped(True)
        return buffer, self.register(buffer)

    def let_go(self, buffer: torch.Tensor, *, registered: bool, counted: int) -> None:
        """`buffer` is used no more, by the card neither; so many bytes of it were counted."""
        self._held -= counted
        if registered:
            torch.cuda.synchronize()
            torch.cuda.cudart().cudaHostUnregister(buffer.data_ptr())


def _register(buffer: torch.Tensor, flags: int) -> int:
    """Return CUDA's error code."""
    code = int(torch.cuda.cudart().cudaHostRegister(buffer.data_ptr(), buffer.numel(), flags))
    if code != 0:
        _forget_last_error()
    return code


def _free_bytes() -> int:
    """Return what the process may still take: of the machine, and of its container (cgroup 2)."""
    meminfo = Path("/proc/meminfo").read_text("utf-8")
    free = int(re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)[1]) * 1024
    limit, stat = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "stat"))
    if limit.exists() and (most := limit.read_text("utf-8").strip()).isdigit():
        held = dict(re.findall(r"^(anon|shmem) (\d+)", stat.read_text("utf-8"), re.MULTILINE))
        free = min(free, int(most) - sum(map(int, held.values())))
    return free


def _forget_last_error() -> None:
    """Take back the error of a refused registration, which torch would report for its next kernel."""
    maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
    if found := re.search(r"/\S*libcudart\S*\.so\S*", maps):
        ctypes.CDLL(found[0]).cudaGetLastError()
