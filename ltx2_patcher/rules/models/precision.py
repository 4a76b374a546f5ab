"""How the Linear weights of transformer blocks are stored, told by their own dtypes and scales.

Layouts: bitsandbytes and quanto as their state dicts have them; fp8, mxfp8, nvfp4 and int8 as
ComfyUI and its converters write them (comfy/quant_ops.py), where a scale beside the weight tells
the kind by its size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ltx2_patcher.values.weights import Header, Tensor

FP8, FP8_WIDE, FP8_SCALED, NVFP4 = "fp8", "fp8 e5m2", "fp8 with scales", "nvfp4"
"""Without scales float8_e4m3fn, which fp8-cast keeps, and float8_e5m2; with a scale a weight."""
UNREAD = frozenset(
    {
        "fp8 by rows",
        "mxfp8",
        "int8",
        "int8 with rotation",
        "codes of 8 bits",
        "quanto",
        "bitsandbytes 4-bit",
    }
)
"""What no upstream reads: it takes the codes for weights, and renders noise or fails at a shape."""

_SCALES = (".weight_scale", ".scale_weight")
_INPUT_SCALES = (".input_scale", ".scale_input")
_ROTATION = re.compile(r'"convrot"\s*:\s*true')  # in ComfyUI's `_quantization_metadata`


def precision_of(header: Header, blocks: str) -> str:
    """The kind: "bf16", "fp8 with scales". `blocks` is how the names of the blocks begin."""
    tensors = {name: t for name, t in header.tensors.items() if name.startswith(blocks)}
    if any(name.endswith(".weight._data") for name in tensors):
        return "quanto"
    if any(name.endswith(".weight.absmax") for name in tensors):
        return "bitsandbytes 4-bit"
    weights = {name: t for name, t in tensors.items() if name.endswith(".weight")}
    weights = {name: t for name, t in weights.items() if len(t.shape) == 2} or weights
    kinds = {tensor.dtype for tensor in weights.values()}
    scales = _scales(tensors, weights)
    if "I8" in kinds:
        text = header.metadata.get("_quantization_metadata", "")
        return "int8 with rotation" if _ROTATION.search(text) else "int8"
    if "U8" in kinds:
        return NVFP4 if any(t.dtype == "F8_E4M3" for t in scales) else "codes of 8 bits"
    if not any(kind.startswith("F8") for kind in kinds):
        return "/".join(sorted(kind.lower() for kind in kinds))
    if any(tensor.dtype in {"F8_E8M0", "U8"} for tensor in scales):
        return "mxfp8"
    if any(tensor.elements > 1 for tensor in scales):
        return "fp8 by rows"
    scaled = scales or any(name.endswith(_INPUT_SCALES) for name in tensors)
    if scaled:
        return FP8_SCALED
    return FP8 if "F8_E4M3" in kinds else FP8_WIDE


def _scales(tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Those that lie beside a weight."""
    layers = [name.removesuffix(".weight") for name in weights]
    names = (f"{layer}{end}" for layer in layers for end in _SCALES)
    return [tensors[name] for name in names if name in tensors]
