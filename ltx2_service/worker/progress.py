"""How far an attempt is, by the events of its renderer."""

from __future__ import annotations

from collections.abc import Mapping

from ltx2_patcher.boundaries.child import Begun, Event, Model, Step
from ltx2_service.values.told import Progress

_STAGE_OF_STEPS: Mapping[str, str] = {"samplers": "denoising"}
"""What upstream's progress bars stand in -> the stage; all others are of the decoder's chunks."""
_STAGE_OF_MODELS: Mapping[str, str] = {
    "Encoder": "encoding",
    "Connector": "encoding",
    "Gemma": "encoding",
    "Processor": "encoding",
    "LTXModel": "denoising",
    "X0Model": "denoising",
    "Upsampler": "upsampling",
    "Decoder": "decoding",
    "Vocoder": "decoding",
}
"""Part of the name of a model that was handed out -> the stage that begins."""


def progress_of(event: Event) -> Progress | None:
    """How far an attempt is by an event of its renderer; None where that tells nothing of it."""
    match event:
        case Begun():
            return Progress("loading", 0, 0)
        case Model(name):
            stage = (stage for part, stage in _STAGE_OF_MODELS.items() if part in name)
            return Progress(next(stage, "loading"), 0, 0)
        case Step(of, done, total, latents):
            return Progress(_STAGE_OF_STEPS.get(of, "decoding"), done, total or 0, latents)
    return None
