"""What a model can be asked for, as the page needs to know it before it asks."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.errors import UsageError
from ltx2_service.values.settings import Model

FRAME_RATE = 25.0
_ON_A_CARD, _ON_THE_CPU = (768, 512, 25), (256, 192, 9)
"""Width, height and frames that a form begins with: what every card makes soon, and what tiny
models make within seconds without one. All models take multiples of 64.
"""
_DISTILLED = "--distilled-checkpoint-path"


@dataclass(frozen=True, slots=True)
class Offer:
    """A model, and which fields of a request mean something to it."""

    name: str
    base: str
    pipeline: str
    summary: str  # a line
    multiple: int  # that width and height are to be divisible by
    pictures: bool
    negative_prompt: bool
    enhance: bool
    width: int  # that a form begins with, as all below
    height: int
    num_frames: int
    frame_rate: float = FRAME_RATE


def refusal_of_pipeline(pipeline: Pipeline) -> UsageError | None:
    """Why a model of the settings can't be of that pipeline; None where it can."""
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} spreads over several cards, and each worker has one",
            remedy=f"take {pipeline.name.removesuffix('_mgpu')}: cards make clips side by side",
        )
    if pipeline.makes != "video" or "--prompt" not in pipeline.options:
        return UsageError(
            f"{pipeline.name} makes no video of a prompt",
            remedy="take distilled, ti2vid_two_stages or another that `ltx2-patcher run` lists",
        )
    return None


def offer_of(model: Model, pipeline: Pipeline, *, on_a_card: bool) -> Offer:
    """What a model of the settings offers by its pipeline, on a machine with a card or without."""
    width, height, num_frames = _ON_A_CARD if on_a_card else _ON_THE_CPU
    # Distilled scripts build on parsers that know --negative-prompt, and have no use for it.
    guided = pipeline.checkpoint != _DISTILLED
    return Offer(
        name=model.name,
        base=model.base,
        pipeline=model.pipeline,
        summary=pipeline.summary,
        multiple=pipeline.divisor or 1,
        pictures="--image" in pipeline.options,
        negative_prompt=guided and "--negative-prompt" in pipeline.options,
        enhance="--enhance-prompt" in pipeline.options,
        width=width,
        height=height,
        num_frames=num_frames,
    )
