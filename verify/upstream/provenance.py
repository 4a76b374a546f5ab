"""What a measurement is of: machine, versions, date, and the patched files that it ran."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.series import Standing

ROOT = Path(__file__).parents[2]
_PACKAGES = ("torch", "triton", "transformers", "bitsandbytes", "safetensors", "av")


def base_of(tree: Path) -> str | None:
    """The base that a checkout is of, told by its files; None for another upstream."""
    store = Store(ROOT)
    for base in store.bases():
        lock = store.lock(base.name)
        standing = judge(lock, disk.blob_ids(tree, lock.paths)).standing
        if standing in {Standing.PATCHED, Standing.UPSTREAM}:
            return base.name
    return None


def provenance_of(
    tree: Path, gpu: Gpu | None, paths: Sequence[str], *, held_to: str | None = None
) -> dict[str, object]:
    """As `provenance`, of a checkout, without importing torch; `held_to` is "24 GB"."""
    base = base_of(tree)
    held = f" held to {held_to}" if held_to else ""
    return {
        "base": base,
        "files": patched_files(base, paths) if base else {},
        "machine": f"{gpu.name}{held}" if gpu else f"{platform.machine()} without a GPU",
        "capability": list(gpu.capability) if gpu else None,
        "versions": {"python": platform.python_version()} | versions(),
        "date": _today(),
    }


def provenance(
    base: str, paths: Sequence[str], *, cap_gib: float | None = None
) -> dict[str, object]:
    """The fields that every baseline starts with; needs torch with CUDA.

    `paths` are files or folders in upstream's tree: the measurement holds while what the series
    makes of them stays. `cap_gib` is the allocator's cap where one stands in for a smaller card.
    """
    import torch

    gpu = torch.cuda.get_device_name()
    return {
        "base": base,
        "files": patched_files(base, paths),
        "machine": f"{gpu} held to 24 GB (allocator capped at {cap_gib} GiB)" if cap_gib else gpu,
        "capability": list(torch.cuda.get_device_capability()),
        "versions": {"python": platform.python_version()} | versions(),
        "date": _today(),
    }


def patched_files(base: str, paths: Sequence[str]) -> dict[str, str]:
    """The blob ids that the whole series of a base leaves at `paths`, or below them."""
    lock = Store(ROOT).lock(base)
    last = lock.after[lock.groups[-1]]
    return {
        path: blob
        for path, blob in sorted(last.items())
        if any(path == wanted or path.startswith(f"{wanted}/") for wanted in paths)
    }


def _today() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")


def versions() -> dict[str, str]:
    """The packages that decide a result, as Python would import them: the first on its path, where
    there are several.
    """
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
