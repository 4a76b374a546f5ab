"""The machine: its GPUs, memory, disk and programs."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.proc import call
from ltx2_patcher.values.errors import OutsideError, UsageError

_FIELDS = "index,name,memory.total,memory.free,compute_cap,driver_version"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU, as its driver tells."""

    index: int  # in PCI bus order, as nvidia-smi counts
    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int]
    driver: str  # "580.95.05"

    @property
    def variables(self) -> dict[str, str]:
        """What makes CUDA see this card alone: it counts by speed unless told to count by bus."""
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(self.index)}


@dataclass(frozen=True, slots=True)
class Memory:
    """Host memory."""

    total_bytes: int
    available_bytes: int


def has_nvidia() -> bool:
    """Whether an NVIDIA driver's tool is here."""
    return shutil.which("nvidia-smi") is not None


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs; none where there is no driver. Raises: OutsideError where it fails."""
    if not has_nvidia():
        return ()
    done = call(
        ("nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"), timeout_s=30
    )
    lines = done.out.decode("utf-8", "replace").splitlines()
    every = tuple(gpu for line in lines if (gpu := _gpu(line)))
    if done.code or len(every) != len([line for line in lines if line.strip()]):
        output = (done.err or done.out).decode("utf-8", "replace").strip().splitlines()
        raise OutsideError(
            f"nvidia-smi fails: {output[-1] if output else f'exit code {done.code}'}",
            remedy="reboot after a driver update, or install the driver again",
        )
    return every


def gpu(index: int | None) -> Gpu | None:
    """The GPU of that index, or the first; None where there is none and none was asked for.

    Raises: UsageError where there is no such one; OutsideError where the driver fails.
    """
    every = gpus()
    if index is None:
        return every[0] if every else None
    for one in every:
        if one.index == index:
            return one
    here = ", ".join(f"{one.index} ({one.name})" for one in every) or "none"
    raise UsageError(f"no GPU {index}", remedy=f"choose one of those here: {here}")


def memory() -> Memory:
    """Host memory, from Linux's /proc/meminfo (in KiB there). Raises: OutsideError."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        raise OutsideError(
            f"host memory can't be told: there is no {meminfo}",
            remedy="run on Linux; upstream's GPU pipelines need it anyway",
        )
    values = dict(re.findall(r"^(\w+):\s+(\d+) kB", meminfo.read_text(), re.MULTILINE))
    return Memory(int(values["MemTotal"]) * 1024, int(values["MemAvailable"]) * 1024)


def free_bytes(folder: Path) -> int:
    """Free disk space at `folder` or the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def version_of(program: str) -> str | None:
    """The version a program tells with --version; None where it is not there."""
    try:
        done = call((program, "--version"), timeout_s=30)
    except OutsideError:
        return None
    match = re.search(rb"\d+(\.\d+)+", done.out)
    return match[0].decode() if match and not done.code else None


def _gpu(line: str) -> Gpu | None:
    """One line of the query; None where it is none of ours."""
    fields = [field.strip() for field in line.split(",")]
    try:
        index, name, total, free, capability, driver = fields
        major, minor = capability.split(".")
        return Gpu(
            int(index), name, int(total) << 20, int(free) << 20, (int(major), int(minor)), driver
        )
    except ValueError:
        return None
