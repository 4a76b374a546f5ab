"""A wanted clip in the words of a script: options that every clip of its model has, and its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import option_of
from ltx2_service.values.job import Wanted
from ltx2_service.values.settings import Model

_FRAMES, _FRAME_RATE = 121, 24.0
"""Upstream's own defaults (ltx_pipelines.utils.constants, PipelineParams)."""
_UNSIZED = (768, 512)
"""Of a pipeline that takes no size: that of a video which it is given, most often."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A clip's sizes, none left open: its row says what its file is."""

    width: int  # pixels
    height: int
    num_frames: int
    frame_rate: float


def sizes_of(wanted: Wanted, pipeline: Pipeline) -> Sizes:
    """The sizes that were asked for, and for the others those that the script takes of itself.

    One of 1.2.0 would ask its model how long the clip is to be; here it is 121 frames, which all
    others take.
    """
    width, height = pipeline.size or _UNSIZED
    return Sizes(
        width if wanted.width is None else wanted.width,
        height if wanted.height is None else wanted.height,
        _FRAMES if wanted.num_frames is None else wanted.num_frames,
        _FRAME_RATE if wanted.frame_rate is None else wanted.frame_rate,
    )


def common_words(
    model: Model, options: Collection[str], weights_folder: Path | None
) -> tuple[str, ...]:
    """What each of the model's clips is started with; a vram budget of "auto" is left to the gate's
    user, who knows whether it can be had.
    """
    words = [word for option, path in model.files.items() for word in (option, str(path))]
    words += model.flags
    if model.vram_budget != "auto":
        words += ["--vram-budget", str(model.vram_budget)]
    if model.host_budget != "auto":
        words += ["--host-budget", str(model.host_budget)]
    if weights_folder is not None and "--weights-folder" in options:
        words += ["--weights-folder", str(weights_folder)]
    return tuple(words)


def options_of(wanted: Wanted, sizes: Sizes, pipeline: Pipeline) -> dict[str, object]:
    """The clip's own options, as `run --batch` has them in a line; those alone that were asked for,
    since a pipeline need not take the others.

    Sizes that nobody asked for are left out where the pipeline takes none.
    """
    mapping: dict[str, object] = {"prompt": wanted.prompt, "seed": wanted.seed}
    for name in ("width", "height", "num_frames", "frame_rate"):
        takes = pipeline.size is not None and option_of(name) in pipeline.options
        if takes or getattr(wanted, name) is not None:
            mapping[name] = getattr(sizes, name)
    if wanted.negative_prompt is not None:
        mapping["negative_prompt"] = wanted.negative_prompt
    if wanted.steps is not None:
        mapping["num_inference_steps"] = wanted.steps
    if wanted.enhance_prompt:
        mapping["enhance_prompt"] = True
    if wanted.pictures:
        mapping["image"] = [[str(one.path), one.frame, one.strength] for one in wanted.pictures]
    return mapping
