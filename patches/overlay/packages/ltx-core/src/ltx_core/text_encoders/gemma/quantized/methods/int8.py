"""LLM.int8 through bitsandbytes: an int8 row with one scale for each output.

A layer `L` as transformers (4.41 and newer) saves it and bitsandbytes (0.43 and newer) reads it: `L.weight` int8
(out, in), `L.SCB` float32 (out,), and mostly `L.weight_format` uint8 (). A row knows nothing of another, so
quantizing whole rows piece by piece gives the bits of quantizing at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.methods.bitsandbytes_backend import (
    is_of_bitsandbytes,
    require_bitsandbytes,
)
from ltx_core.text_encoders.gemma.quantized.methods.method import INCOMPLETE, Flag, PackedWeight, require_parts
from ltx_core.text_encoders.gemma.quantized.pieces import piece_numel, pieces, to_bf16

_SCALES = ".SCB"
_DTYPE = "I8"
_ROW_FORMAT = 0  # of `weight_format`: "row", the only layout that bitsandbytes still has


@dataclass(frozen=True)
class Int8:
    """LLM.int8 with the outlier threshold of transformers' BitsAndBytesConfig."""

    flag: Flag | None = field(default=None, repr=False)
    label: str = "8bit"
    part_names: tuple[str, ...] = ("weight", "SCB", "weight_format")

    def may_be_stated(self, settings: Mapping[str, Any]) -> bool:
        return is_of_bitsandbytes(settings) and bool(settings.get("load_in_8bit"))

    def stored_layers(self, stored: Mapping[str, StoredTensor]) -> dict[str, tuple[str, ...]]:
        layers: dict[str, tuple[str, ...]] = {}
        for scales in (name for name in stored if name.endswith(_SCALES)):
            layer = scales.removesuffix(_SCALES)
            weight, weight_format = f"{layer}.weight", f"{layer}.weight_format"
            optional = (weight_format,) if weight_format in stored else ()
            layers[weight] = require_parts((weight, scales, *optional), stored)
            if (dtype := stored[weight].dtype) != _DTYPE:
                raise GemmaRootError(f"{weight} has 8-bit scales but is {dtype}", INCOMPLETE)
        return layers

    def packed(self, shape: tuple[int, ...]) -> PackedWeight:
        return PackedWeight(tuple(shape), _DTYPE, math.prod(shape))

    def most_bytes(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) + 4 * shape[0]

    def require(self, device: torch.device) -> None:
        require_bitsandbytes(self, device)

    def quantize(
        self, weight: torch.Tensor, compute_device: torch.device, device: torch.device
    ) -> dict[str, torch.Tensor]:
        import bitsandbytes.functional as bnb  # noqa: PLC0415 - only where a Gemma is quantized

        values = torch.empty(weight.shape, dtype=torch.int8, device=device)
        scales = torch.empty(weight.shape[0], dtype=torch.float32, device=device)
        for start, rows in pieces(weight, max(1, piece_numel(compute_device) // weight.shape[1])):
            piece, scale, _ = bnb.int8_vectorwise_quant(to_bf16(rows, compute_device).to(torch.float16))
            values[start : start + len(piece)].copy_(piece)
            scales[start : start + len(scale)].copy_(scale)
        return {"weight": values, "SCB": scales, "weight_format": torch.tensor(_ROW_FORMAT, dtype=torch.uint8)}

    def layer(self, linear: torch.nn.Linear, weight: PackedWeight) -> torch.nn.Module:  # noqa: ARG002 - the Linear's shape
        from ltx_core.text_encoders.gemma.quantized.methods import bitsandbytes_layers  # noqa: PLC0415 - bitsandbytes

        return bitsandbytes_layers.Linear8bit(linear.in_features, linear.out_features, bias=linear.bias is not None)

    def config(self, not_quantized: list[str]) -> dict[str, Any]:
        from transformers import BitsAndBytesConfig  # noqa: PLC0415 - slow to import, and only a conversion needs it

        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=not_quantized).to_dict()


INT8 = Int8(
    Flag(
        "--gemma-8bit",
        help=(
            "Load the Gemma text encoder in 8 bits (LLM.int8) through bitsandbytes: about 12.7 GiB of VRAM in place of "
            "22.7, closer to bf16 than 4 bits are, and slower to encode a prompt. "
            "Not needed for a root that is already quantized to 8 bits."
        ),
        summary="LLM.int8.",
    )
)
