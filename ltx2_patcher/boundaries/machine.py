"""The machine: its GPUs, memory, disk and programs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.proc import call
from ltx2_patcher.rules.models.link import Link, parse_link
from ltx2_patcher.values.errors import OutsideError, UsageError

VISIBLE = "CUDA_VISIBLE_DEVICES"
BY_BUS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Makes CUDA count cards as nvidia-smi does: by itself it puts the fastest first."""

_FIELDS = "index,uuid,name,memory.total,memory.free,compute_cap,driver_version"
_LINK = "pcie.link.gen.max,pcie.link.width.max"  # idle, it may be slower just now
_UNKNOWN = "[N/A]"
# What nvidia-smi says where it can read no card, and what helps.
_REMEDIES = {
    "No devices were found": "see that the card is in the machine and passed on to this container",
    "Unable to determine": "reboot: the driver has lost the card; lost again, see its power supply",
    "is lost": "reboot: the driver has lost the card; lost again, see its power supply",
    "version mismatch": "reboot: the driver was updated under the running system",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU, as its driver tells."""

    index: int  # in PCI bus order, as nvidia-smi counts
    uuid: str  # "GPU-ad58b9e8-..."
    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int]
    driver: str  # "580.95.05"

    @property
    def variables(self) -> dict[str, str]:
        """What makes CUDA see this card alone."""
        return {**BY_BUS, VISIBLE: str(self.index)}


@dataclass(frozen=True, slots=True)
class Memory:
    """Host memory."""

    total_bytes: int
    available_bytes: int


def has_nvidia() -> bool:
    """Whether an NVIDIA driver's tool is here."""
    return shutil.which("nvidia-smi") is not None


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that can be read; none where there is no driver.

    Raises: OutsideError where the driver fails, or no card answers it.
    """
    if not has_nvidia():
        return ()
    done = call(
        ("nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"), timeout_s=30
    )
    every = tuple(gpu for line in _lines(done.out) if (gpu := _gpu(line)))
    if every:
        return every
    told = [*_lines(done.err), *_lines(done.out), f"exit code {done.code}"][0]
    usual = "install the driver again"
    remedy = next((remedy for words, remedy in _REMEDIES.items() if words in told), usual)
    raise OutsideError(f"nvidia-smi fails: {told}", remedy=remedy)


def visible_gpus() -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order; all where it is not set.

    Raises: UsageError where it names cards and none of them is here; OutsideError as `gpus`.
    """
    every, named = gpus(), os.environ.get(VISIBLE)
    if not every or named is None:
        return every
    shown = tuple(_shown(every, named))
    if not shown and named.strip() not in {"", "-1"}:  # with these CUDA shall see none
        raise UsageError(
            f"{VISIBLE}={named} names no card that is here",
            remedy=f"unset it, or name some of {_listed(every)}",
        )
    return shown


def gpu(index: int | None) -> Gpu | None:
    """The GPU of that index; of those that CUDA sees the first, None where it sees none.

    Raises: UsageError where there is no such one; OutsideError where the driver fails.
    """
    if index is None:
        return next(iter(visible_gpus()), None)
    every = gpus()
    for one in every:
        if one.index == index:
            return one
    raise UsageError(f"no GPU {index}", remedy=f"choose one of those here: {_listed(every)}")


def link(of: Gpu) -> Link | None:
    """How the GPU is linked to host memory at most; None where the driver can't tell.

    Raises: OutsideError where it does not answer.
    """
    query = ("nvidia-smi", f"--id={of.index}", f"--query-gpu={_LINK}", "--format=csv,noheader")
    return next(filter(None, map(parse_link, _lines(call(query, timeout_s=30).out))), None)


def memory() -> Memory:
    """Host memory, from Linux's /proc/meminfo, in a container what that may take of it.

    Raises: OutsideError.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        raise OutsideError(
            f"host memory can't be told: there is no {meminfo}",
            remedy="run on Linux; upstream's GPU pipelines need it anyway",
        )
    values = _meminfo()
    return within_container(Memory(values["MemTotal"], values["MemAvailable"]), _CONTAINER)


def within_container(host: Memory, folder: Path) -> Memory:
    """What of the host's memory a container leaves, by its control group (version 2) in `folder`.

    Pages of files count as free, as they are given back where memory gets short.
    """
    limit, stat = folder / "memory.max", folder / "memory.stat"
    if not limit.exists() or not (most := limit.read_text().strip()).isdigit():
        return host
    held = re.findall(r"^(?:anon|shmem) (\d+)$", stat.read_text(), re.MULTILINE)
    free = max(int(most) - sum(map(int, held)), 0)
    return Memory(min(host.total_bytes, int(most)), min(host.available_bytes, free))


_CONTAINER = Path("/sys/fs/cgroup")


def mappable_bytes() -> int | None:
    """The largest file that a process may map for itself; None where any may be.

    Linux refuses a private mapping larger than memory and swap together, or in its strict mode than
    what is left to promise (Documentation/mm/overcommit-accounting.rst).
    """
    mode = Path("/proc/sys/vm/overcommit_memory")
    if not mode.exists() or (chosen := mode.read_text().strip()) == _PROMISES_ANYTHING:
        return None
    values = _meminfo()
    if chosen == _PROMISES_WHAT_IT_HAS:
        return values["CommitLimit"] - values["Committed_AS"]
    return values["MemTotal"] + values["SwapTotal"]


_PROMISES_ANYTHING, _PROMISES_WHAT_IT_HAS = "1", "2"


def _meminfo() -> dict[str, int]:
    """Bytes by name: Linux tells them in KiB."""
    rows = re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {name: int(kib) * 1024 for name, kib in rows}


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


def _lines(output: bytes) -> list[str]:
    return [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]


def _gpu(line: str) -> Gpu | None:
    """One line of the query; None where it is none of ours."""
    fields = [field.strip() for field in line.split(",")]
    try:
        index, uuid, name, total, free, capability, driver = fields
        major, minor = map(int, capability.split("."))
        if total == _UNKNOWN:  # the card shares the host's memory
            host = memory()
            sizes = host.total_bytes, host.available_bytes
        else:
            sizes = int(total) << 20, int(free) << 20
        return Gpu(int(index), uuid, name, *sizes, (major, minor), driver)
    except ValueError:
        return None


def _shown(every: Sequence[Gpu], named: str) -> Iterator[Gpu]:
    """As CUDA reads the variable: indices or beginnings of UUIDs, up to the first that is none."""
    for word in map(str.strip, named.split(",")):
        found = [
            gpu
            for gpu in every
            if word == str(gpu.index) or (word.startswith("GPU-") and gpu.uuid.startswith(word))
        ]
        if len(found) != 1:
            return
        yield found[0]


def _listed(every: Sequence[Gpu]) -> str:
    return ", ".join(f"{one.index} ({one.name})" for one in every) or "none"
