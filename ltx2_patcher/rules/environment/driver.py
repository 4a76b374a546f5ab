"""Which CUDA build of torch a driver and a card can run."""

from __future__ import annotations

import re

_BUILDS = (("cu130", 580), ("cu128", 570), ("cu126", 525))
"""Wheel tag -> oldest driver branch, newest first. NVIDIA, CUDA Compatibility, minor version
compatibility: 13.x from 580 on, 12.x from 525 on; 12.8 is asked of 570 and newer only, since below
it runs with a limited feature set."""

_OLDEST_FOR_CUDA_13 = (7, 5)  # CUDA 13 dropped Maxwell, Pascal and Volta
_OLDEST_BLACKWELL = (10, 0)  # compiled for from CUDA 12.8 on


def wheel_tag(driver: str, capability: tuple[int, int]) -> str | None:
    """The newest torch build for the driver and the card; None where the driver is too old."""
    branch = _branch(driver)
    for tag, oldest in _BUILDS:
        if tag == "cu130" and capability < _OLDEST_FOR_CUDA_13:
            continue
        if tag == "cu126" and capability >= _OLDEST_BLACKWELL:
            continue
        if branch >= oldest:
            return tag
    return None


def runs(driver: str, cuda: str) -> bool:
    """Whether the driver runs a torch built with this CUDA version ("12.8")."""
    oldest = 580 if cuda.startswith("13") else 525
    return _branch(driver) >= oldest


def _branch(driver: str) -> int:
    found = re.match(r"\d+", driver)
    return int(found[0]) if found else 0
