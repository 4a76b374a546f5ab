"""A step of the whole 19B transformer with random weights: in bf16, by fp8-cast and by int8."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import prod
from statistics import median
from typing import Any

import torch

from verify.campaigns.random_transformer import Change, modalities, transformer
from verify.synthetic.architecture import Variant

_TOKENS = (16, 16, 24)  # by time, height and width: 768x512, 121 frames
_ROUNDS = 7  # timed, after two more


def step(device: torch.device) -> dict[str, Any]:
    """Seconds of a denoising step by each way, in turn, medians; `device` is a card of 80 GB."""
    with torch.inference_mode():
        models = {
            way: transformer(Variant.LTX_2, "full", device, of) for way, of in changes().items()
        }
        given = modalities(models["bf16"], _TOKENS, device)
        taken: dict[str, list[float]] = {way: [] for way in models}
        for _ in range(_ROUNDS + 2):
            for way, model in models.items():
                torch.cuda.synchronize()
                began_s = time.perf_counter()
                model(*given, None)
                torch.cuda.synchronize()
                taken[way].append(time.perf_counter() - began_s)
    return {
        "tokens": prod(_TOKENS),
        "s": {way: median(seconds[2:]) for way, seconds in taken.items()},
    }


def changes() -> Mapping[str, Change | None]:
    """What makes a model in bf16 one of each way."""
    from ltx_core.int8.layers import is_of_a_block, linear_layers, quantized_layers
    from ltx_core.int8.policy import with_integer_products
    from ltx_core.quantization.fp8_cast import UPCAST_DURING_INFERENCE

    def fp8_cast(model: Any) -> Any:
        for name, layer in linear_layers(model).items():
            if is_of_a_block(name):
                layer.to(torch.float8_e4m3fn)
        return UPCAST_DURING_INFERENCE.mutator(model)

    def int8(model: Any) -> Any:
        shapes = {name: layer.weight.shape for name, layer in linear_layers(model).items()}
        layers = quantized_layers(shapes, rotated=True, keeps_ends=False)
        return with_integer_products(model, layers)

    return {"bf16": None, "fp8_cast": fp8_cast, "int8": int8}
