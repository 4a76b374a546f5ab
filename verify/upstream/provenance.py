"""What a measurement is of: base, machine, versions, date, and the code that decides it."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import platform
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.series import Standing
from verify.upstream.measured_code import measured_code

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


def provenance_of(tree: Path, gpu: Gpu | None, *, held_to: str | None = None) -> dict[str, object]:
    """Of a run of a checkout, without importing torch; `held_to` is "24 GB"."""
    held = f" held to {held_to}" if held_to else ""
    return {
        "base": base_of(tree),
        "machine": f"{gpu.name}{held}" if gpu else f"{platform.machine()} without a GPU",
        "capability": list(gpu.capability) if gpu else None,
        "versions": {"python": platform.python_version()} | versions(),
        "date": _today(),
    }


def provenance(base: str, kind: str, *, cap_gib: float | None = None) -> dict[str, object]:
    """The fields that every baseline starts with; needs torch.

    `kind` is one of `KINDS`; `cap_gib` the allocator's cap where one stands in for a smaller card.

    Raises: as `code_of`.
    """
    import torch

    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else f"{platform.machine()} without a GPU"
    return {
        "base": base,
        "code": code_of(base, kind),
        "machine": f"{name} held to 24 GB (allocator capped at {cap_gib} GiB)" if cap_gib else name,
        "capability": list(torch.cuda.get_device_capability()) if cuda else None,
        "versions": {"python": platform.python_version()} | versions(),
        "date": _today(),
    }


def code_of(base: str | None, kind: str) -> dict[str, str]:
    """What a measurement of that kind holds for: it is stale when any of these changes.

    Raises: UsageError without a base, and where this environment can't read patches; else as
    `Store.series`.
    """
    if base is None:
        raise UsageError(
            "a baseline is of a base, and this tree is of none",
            remedy="run `make patch BASE=...`, and name vendor/LTX-2-...",
        )
    try:
        return measured_code(Store(ROOT).series(base), kind)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a baseline names the patches it is of, and {error.name} is missing to read them",
            remedy=f"run `make verify BASE={base}`, which installs it",
        ) from error


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
