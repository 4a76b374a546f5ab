"""Which GPU a measured run takes."""

from __future__ import annotations

import os

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.values.errors import UsageError

_SHOWN = "CUDA_VISIBLE_DEVICES"


def chosen_gpu() -> Gpu | None:
    """The first of nvidia-smi's list that CUDA_VISIBLE_DEVICES leaves; None without one.

    Raises: UsageError where that names one other than by its number in that list.
    """
    first = os.environ.get(_SHOWN, "0").split(",")[0].strip()
    if first in {"", "-1"}:  # CUDA sees none then
        return None
    if not first.isdecimal():
        raise UsageError(
            f"{_SHOWN} names {first}, and here a GPU goes by its number",
            remedy="give the number that `nvidia-smi -L` shows for it",
        )
    return next((gpu for gpu in machine.gpus() if gpu.index == int(first)), None)
