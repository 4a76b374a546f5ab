"""Memory for what loading makes of weights, from when it is made until it is parked."""

import errno
import logging
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.mapping import mapped

logger = logging.getLogger(__name__)

_SPARE = 4 * 1024**3  # bytes of a disk that are left to others


class Making:
    """Takes the tensors of one model, one by one, into host memory.

    What that has no room for lies in a file without a name in `folder`, whose pages the system writes to the disk when
    memory is short; a process that takes more than there is would be ended.
    """

    def __init__(self, has_room: Callable[[int], bool], folder: Path) -> None:
        """`has_room` says whether so many bytes, all that the model took so far, may lie in memory."""
        self._has_room, self._folder = has_room, folder
        self._taken = 0
        self._file: int | None = None
        self._end = 0

    def on_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor, moved or copied to the host."""
        self._taken += tensor.nbytes
        if tensor.nbytes and not self._has_room(self._taken) and (spilled := self._spilled(tensor)) is not None:
            return spilled
        return tensor.to("cpu")

    def close(self) -> None:
        """No more tensors come; those in the file stay as long as somebody holds them."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _spilled(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the tensor in the file; None from when on the disk has no room."""
        layout = Layout.of([Form.of(tensor)])
        try:
            if self._file is None:
                self._file = self._opened()
            if shutil.disk_usage(self._folder).free < layout.nbytes + _SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.posix_fallocate(self._file, self._end, layout.nbytes)
            buffer = mapped(self._file, self._end, layout.nbytes, writable=True)
        except OSError as error:
            logger.warning(
                f"memory has no room for the weights that loading makes, nor {self._folder}, see `ltx2-patcher cache`: "
                f"{error}"
            )
            self._has_room = lambda _: True
            return None
        self._end += -(-layout.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        (view,) = layout.views(buffer)
        return view.copy_(tensor)

    def _opened(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file, path = tempfile.mkstemp(dir=self._folder, suffix=".made")
        Path(path).unlink()
        return file
