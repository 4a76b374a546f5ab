"""A GPU as its driver sees it, through NVML: one device while a run is measured."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from ltx2_patcher.values.errors import OutsideError
from verify.vram.stages import DeviceUse


class Device:
    """The GPU of an index of nvidia-smi's; a context manager. `used()` leaves out what others held
    before.

    Raises: OutsideError where NVML can't be asked.
    """

    def __init__(self, index: int) -> None:
        try:
            import pynvml
        except ModuleNotFoundError as error:
            raise OutsideError(
                "nvidia-ml-py is not installed, and without it the driver can't be asked",
                remedy="run `make verify` once, which installs it, or `pip install nvidia-ml-py`",
            ) from error
        self._nvml: Any = pynvml
        self._index = index

    def __enter__(self) -> Self:
        try:
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self._index)
        except self._nvml.NVMLError as error:
            raise _silent(error) from error
        self._before = self._used_bytes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._nvml.nvmlShutdown()

    def used(self) -> DeviceUse:
        """What is in use now, over what was when this was entered."""
        return DeviceUse(time.monotonic(), max(0, self._used_bytes() - self._before))

    def _used_bytes(self) -> int:
        try:
            used: int = self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used
        except self._nvml.NVMLError as error:
            raise _silent(error) from error
        return used


def _silent(error: Exception) -> OutsideError:
    return OutsideError(
        f"the NVIDIA driver does not answer: {error}", remedy="see what `nvidia-smi` says"
    )
