"""What of a request can be told wrong without a file.

Upstream reports a wrong size or frame count only once models are loaded, or renders less than was
asked for; so it is told before.
"""

from __future__ import annotations

from ltx2_patcher.rules.models.options import PARTS
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import Request

FRAME_STEP = 8
"""Upstream takes 8k + 1 frames: the video VAE joins 8 into one of its own."""

_IN_BOTH = "--video-vae-path"  # it may also take the place of a whole checkpoint's own


def check_numbers(pipeline: Pipeline, request: Request) -> None:
    """Raises: UsageError for a frame count that is not 8k+1, a size that is not divisible as the
    pipeline needs, a split model with a part left out, or an offload that upstream does not offer
    for the quantization.
    """
    _check_frames(request.frames)
    if (divisor := pipeline.divisor) is not None:
        for option, size in (("--width", request.width), ("--height", request.height)):
            _check_size(pipeline, option, size, divisor)
    _check_parts(pipeline, request)
    _check_offload(request)


def _check_frames(frames: int | None) -> None:
    if frames is None or (frames > 0 and frames % FRAME_STEP == 1):
        return
    below = max(1, (frames - 1) // FRAME_STEP * FRAME_STEP + 1)
    raise UsageError(
        f"--num-frames {frames} is not of the form 8k+1",
        remedy=f"give {below} or {below + FRAME_STEP}",
    )


def _check_size(pipeline: Pipeline, option: str, size: int | None, divisor: int) -> None:
    if size is None or (size >= divisor and size % divisor == 0):
        return
    below = max(divisor, size // divisor * divisor)
    raise UsageError(
        f"{option} {size} is not divisible by {divisor}, as {pipeline.name} needs",
        remedy=f"give {below} or {below + divisor}",
    )


def _check_parts(pipeline: Pipeline, request: Request) -> None:
    """A split model is whole: upstream looks for a part only when it is about to load it."""
    if request.checkpoint or request.gemma_root or not request.parts.keys() - {_IN_BOTH}:
        return  # whole, or neither: its parser says so
    for option in PARTS:
        if option in pipeline.parts and option not in request.parts:
            raise UsageError(
                f"{pipeline.name} needs {option} too, beside {', '.join(request.parts)}",
                remedy="give a file for each part of the model",
            )


def _check_offload(request: Request) -> None:
    if request.offload is None or request.quantization in {None, "fp8-cast"}:
        return
    raise UsageError(
        f"--offload {request.offload} can't be had with --quantization {request.quantization}",
        remedy="give --quantization fp8-cast or none, or leave --offload out",
    )
