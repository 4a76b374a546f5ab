"""The cards of this machine, as NVIDIA's driver and the kernel tell."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SYS = Path("/sys")


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one card."""

    used_bytes: int
    total_bytes: int


class Driver:
    """NVML, where there is one: asked once, for it takes long to come up."""

    def __init__(self) -> None:
        self._nvml: Any = None
        with contextlib.suppress(Exception):  # NVMLError of many kinds, or no library
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml

    def indices(self) -> tuple[int, ...]:
        """nvidia-smi's indices; none without a driver."""
        return () if self._nvml is None else tuple(range(int(self._nvml.nvmlDeviceGetCount())))

    def name(self, index: int) -> str:
        """What people call it."""
        with contextlib.suppress(Exception):
            name = self._nvml.nvmlDeviceGetName(self._handle(index))
            return name.decode() if isinstance(name, bytes) else str(name)
        return "CPU" if self._nvml is None else f"GPU {index}"

    def memory(self, index: int) -> Memory | None:
        """How much is in use, by all processes."""
        with contextlib.suppress(Exception):
            told = self._nvml.nvmlDeviceGetMemoryInfo(self._handle(index))
            return Memory(int(told.used), int(told.total))
        return None

    def near_cpus(self, index: int) -> str:
        """The list of CPUs of the card's node; "" where that is not told."""
        with contextlib.suppress(Exception):
            bus = self._nvml.nvmlDeviceGetPciInfo(self._handle(index)).busId
            return cpus_near(bus.decode() if isinstance(bus, bytes) else str(bus))
        return ""

    def _handle(self, index: int) -> Any:
        return self._nvml.nvmlDeviceGetHandleByIndex(index)


def cpus_near(bus: str, sys: Path = _SYS) -> str:
    """The list of CPUs of the node that a device hangs on ("00000000:65:00.0"); "" for any."""
    domain, _, rest = bus.lower().partition(":")
    with contextlib.suppress(OSError, ValueError):
        node = int((sys / f"bus/pci/devices/{domain[-4:]}:{rest}/numa_node").read_text())
        if node >= 0:  # -1: the machine has but one
            return (sys / f"devices/system/node/node{node}/cpulist").read_text().strip()
    return ""
