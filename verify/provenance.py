"""What a measurement is of: machine, versions, date, and the digest of the series."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import platform
from pathlib import Path

from ltx2_patcher.boundaries.store import Store

_PACKAGES = ("torch", "triton", "transformers", "bitsandbytes", "safetensors")


def provenance(base: str, *, cap_gib: float | None = None) -> dict[str, object]:
    """The fields that every baseline starts with; needs torch with CUDA.

    `cap_gib` is the allocator's cap where one stands in for a smaller card.
    """
    import torch

    gpu = torch.cuda.get_device_name()
    return {
        "base": base,
        "digest": Store(Path(__file__).parents[1]).digest(base),
        "machine": f"{gpu} held to 24 GB (allocator capped at {cap_gib} GiB)" if cap_gib else gpu,
        "capability": list(torch.cuda.get_device_capability()),
        "versions": {"python": platform.python_version()} | _versions(),
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
    }


def _versions() -> dict[str, str]:
    """As Python would import them: the first on its path, where there are several."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
