"""What the gate makes of a wanted clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ltx2_patcher.values.finding import Finding
from ltx2_service.values.assignment import Renderer
from ltx2_service.values.job import Wanted


@dataclass(frozen=True, slots=True)
class Judged:
    """A clip that may be made, with every number that its file depends on."""

    argv: tuple[str, ...]  # of the script, without --output-path
    seed: int
    width: int  # pixels
    height: int
    num_frames: int
    frame_rate: float
    series: str  # digest of the base and its series
    renderer: Renderer  # the process that its script runs in
    module: str  # Script.module: "ltx_pipelines.distilled"
    warnings: tuple[Finding, ...] = ()


Judge = Callable[[Wanted], Judged]
"""Raises: what the gate of `run` raises; UnknownModel. It is called with a seed and a model."""
