"""Host memory that a card reads at full speed: on huge pages, registered once it is filled."""

import ctypes
import logging
import mmap
import re
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

_HUGE_PAGE = 2 * 1024**2  # x86-64's and arm64's with 4 KiB pages


class HostMemory:
    """Buffers of one process, in plain memory where there is no card to register them with."""

    def __init__(self, device: torch.device) -> None:
        self._registers = device.type == "cuda"

    def buffer(self, nbytes: int) -> torch.Tensor:
        """Return `nbytes` of memory (uint8, 1-D), to be filled and then given to `register`."""
        pages = mmap.mmap(-1, max(-(-nbytes // _HUGE_PAGE), 1) * _HUGE_PAGE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        return torch.frombuffer(pages, dtype=torch.uint8)[:nbytes]  # it keeps the mapping alive

    def register(self, buffer: torch.Tensor) -> None:
        """Lock the pages of `buffer`, so that the card copies them by itself; where that fails they stay pageable."""
        if not self._registers or not buffer.numel():
            return
        cudart = torch.cuda.cudart()
        if (code := int(cudart.cudaHostRegister(buffer.data_ptr(), buffer.numel(), 0))) != 0:
            _forget_last_error()
            self._registers = False
            logger.warning(
                f"the system locks no more host memory for the card (CUDA error {code}): what is not locked yet is "
                "copied more slowly; raise `ulimit -l`, or give a container more memory"
            )


def _forget_last_error() -> None:
    """Take back the error of a refused registration, which torch would report for its next kernel."""
    maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
    if found := re.search(r"/\S*libcudart\S*\.so\S*", maps):
        ctypes.CDLL(found[0]).cudaGetLastError()
