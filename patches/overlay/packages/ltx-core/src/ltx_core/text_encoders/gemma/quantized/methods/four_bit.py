"""Four bits a value, NF4 or FP4, through bitsandbytes: blocks of 64 with their absmax.

A layer `L` as transformers (4.41 and newer) saves it and bitsandbytes (0.43 and newer) reads it: `L.weight` packed
(n/2, 1), `L.weight.absmax`, `L.weight.quant_map`, `L.weight.quant_state.bitsandbytes__nf4` (or `__fp4`; JSON as bytes),
with double quantization also `L.weight.nested_absmax`, `L.weight.nested_quant_map`. A block knows
nothing of another, so quantizing whole blocks piece by piece gives the bits of quantizing at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.methods.bitsandbytes_backend import (
    is_of_bitsandbytes,
    require_bitsandbytes,
)
from ltx_core.text_encoders.gemma.quantized.methods.method import Flag, PackedWeight, require_parts
from ltx_core.text_encoders.gemma.quantized.pieces import piece_numel, pieces, to_bf16

_BLOCK = 64  # values that share one absmax: the default of bitsandbytes and transformers
_NESTED_BLOCK = 256  # absmax values that share one nested absmax: fixed in bitsandbytes' quantize_4bit
_WEIGHT = ".weight"
_SCALES = (".absmax", ".quant_map")
_NESTED = (".nested_absmax", ".nested_quant_map")
_STATES = {quant_type: f".quant_state.bitsandbytes__{quant_type}" for quant_type in ("nf4", "fp4")}
# Safetensors' spelling of the dtypes that weights may be packed into (transformers' bnb_4bit_quant_storage).
_STORAGE_DTYPES = {
    "U8": torch.uint8,
    "I8": torch.int8,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


@dataclass(frozen=True)
class FourBit:
    """One of bitsandbytes' 4-bit types, doubly quantized where it is made here."""

    quant_type: str  # "nf4" or "fp4"
    flag: Flag | None = field(default=None, repr=False)
    label: str = "4bit"

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(f"weight{suffix}" for suffix in ("", *_SCALES, *_NESTED, _STATES[self.quant_type]))

    def may_be_stated(self, settings: Mapping[str, Any]) -> bool:
        return is_of_bitsandbytes(settings) and bool(settings.get("load_in_4bit"))

    def stored_layers(self, stored: Mapping[str, StoredTensor]) -> dict[str, tuple[str, ...]]:
        layers: dict[str, tuple[str, ...]] = {}
        for name in stored:
            for suffix in (*_STATES.values(), *_SCALES, *_NESTED):
                weight = name.removesuffix(suffix)
                is_part = weight != name and weight.endswith(_WEIGHT) and weight not in layers
                if is_part and _stored_type(weight, stored) == self.quant_type:
                    layers[weight] = require_parts(self._stored_parts(weight, stored), stored)
        return layers

    def _stored_parts(self, weight: str, stored: Mapping[str, StoredTensor]) -> tuple[str, ...]:
        absmax = stored.get(weight + ".absmax")
        is_nested = any(weight + suffix in stored for suffix in _NESTED) or (
            absmax is not None and absmax.dtype == "U8"
        )
        suffixes = (*_SCALES, *(_NESTED if is_nested else ()), _STATES[self.quant_type])
        return (weight, *(weight + suffix for suffix in suffixes))

    def packed(self, shape: tuple[int, ...]) -> PackedWeight:
        nbytes = -(math.prod(shape) // -2)
        return PackedWeight((nbytes, 1), "U8", nbytes)

    def most_bytes(self, shape: tuple[int, ...]) -> int:
        numel = math.prod(shape)
        return numel // 2 + numel // 64 + numel // 4096

    def require(self, device: torch.device) -> None:
        require_bitsandbytes(self, device)

    def quantize(
        self, weight: torch.Tensor, compute_device: torch.device, device: torch.device
    ) -> dict[str, torch.Tensor]:
        import bitsandbytes.functional as bnb  # noqa: PLC0415 - only where a Gemma is quantized

        numel = weight.numel()
        packed = torch.empty(self.packed(weight.shape).shape, dtype=torch.uint8, device=device)
        absmax = torch.empty(-(numel // -_BLOCK), dtype=torch.float32, device=compute_device)
        for start, piece in pieces(weight.reshape(-1), piece_numel(compute_device)):
            values, state = bnb.quantize_4bit(
                to_bf16(piece, compute_device), blocksize=_BLOCK, quant_type=self.quant_type
            )
            packed[start // 2 : start // 2 + len(values)].copy_(values)
            absmax[start // _BLOCK : start // _BLOCK + len(state.absmax)].copy_(state.absmax)
        # Double quantization as bitsandbytes' quantize_4bit does it with compress_statistics=True.
        offset = absmax.mean()
        absmax, nested = bnb.quantize_blockwise(absmax - offset, blocksize=_NESTED_BLOCK)
        whole = bnb.QuantState(
            absmax=absmax,
            shape=weight.shape,
            code=state.code,
            blocksize=_BLOCK,
            quant_type=self.quant_type,
            dtype=torch.bfloat16,
            offset=offset,
            state2=nested,
        )
        scales = {f"weight.{name}": part.to(device) for name, part in whole.as_dict(packed=True).items()}
        return {"weight": packed, **scales}

    def layer(self, linear: torch.nn.Linear, weight: PackedWeight) -> torch.nn.Module:
        from ltx_core.text_encoders.gemma.quantized.methods import bitsandbytes_layers  # noqa: PLC0415 - bitsandbytes

        return bitsandbytes_layers.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            packed_shape=weight.shape,
            packed_dtype=_STORAGE_DTYPES[weight.dtype],
            quant_type=self.quant_type,
        )

    def config(self, not_quantized: list[str]) -> dict[str, Any]:
        from transformers import BitsAndBytesConfig  # noqa: PLC0415 - slow to import, and only a conversion needs it

        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=self.quant_type,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=not_quantized,
        ).to_dict()


def _stored_type(weight: str, stored: Mapping[str, StoredTensor]) -> str:
    """The 4-bit type that a layer's state names; NF4 where the state is missing, which is an error then."""
    return next((quant_type for quant_type, suffix in _STATES.items() if weight + suffix in stored), "nf4")


NF4 = FourBit(
    "nf4",
    Flag(
        "--gemma-4bit",
        help=(
            "Load the Gemma text encoder in 4 bits (NF4, double quantization, bf16 compute) through bitsandbytes: "
            "about 7.8 GiB of VRAM in place of 22.7. Quantized while it is read, which takes as long as reading it in "
            "bf16; prompts are understood slightly differently, so a seed gives a somewhat different clip. "
            "Not needed for a root that is already quantized to 4 bits."
        ),
        summary="NF4, double quantization, bf16 compute.",
    ),
)
FP4 = FourBit("fp4")
