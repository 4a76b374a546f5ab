"""What weights are given to a script as: the option, and the flag that they need beside it."""

from __future__ import annotations

from ltx2_patcher.rules.models.precision import FP8, FP8_SCALED, INT8, NVFP4
from ltx2_patcher.values.weights import (
    Checkpoint,
    GemmaRoot,
    Lora,
    ModelPart,
    Upsampler,
    Weights,
)

_FLAGS = {
    FP8: "fp8-cast",
    FP8_SCALED: "fp8-cast",
    NVFP4: "nvfp4-prequant",
    **dict.fromkeys(INT8, "int8"),
}
_PARTS = {
    "video VAE": "--video-vae-path",
    "audio VAE": "--audio-vae-path",
    "duration head": "--duration-head-path",
}


def served_as(found: Weights) -> str | None:
    """The option, and its flag: "--checkpoint-path with --quantization int8"; None for neither."""
    match found:
        case Checkpoint():
            option = "--checkpoint-path" if found.whole else "--transformer-path"
            flag = _FLAGS.get(found.precision)
            return f"{option} with --quantization {flag}" if flag else option
        case GemmaRoot():
            return "--text-encoder-path" if found.packed else "--gemma-root"
        case ModelPart():
            return _PARTS[found.kind]
        case Lora():
            return "--lora"
        case Upsampler():
            return "--temporal-upsampler-path" if found.time > 1 else "--spatial-upsampler-path"
        case _:
            return None
