"""How the Linear weights of a model's blocks are stored, told by dtypes, scales and marks.

Layouts: bitsandbytes and quanto as their state dicts have them; fp8, mxfp8, nvfp4 and int8 as
ComfyUI and its converters write them (comfy/quant_ops.py), where a scale beside the weight tells
the kind by its size, and a mark tells whether int8 codes are those of a rotated weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ltx2_patcher.values.weights import Header, Tensor

FP8, FP8_WIDE, FP8_SCALED, NVFP4 = "fp8", "fp8 e5m2", "fp8 with scales", "nvfp4"
"""Without scales float8_e4m3fn, which fp8-cast keeps, and float8_e5m2; with a scale a weight."""
MXFP8, FP8_ROWS, MIXED = "mxfp8", "fp8 by rows", "nvfp4 among others"
INT8 = frozenset({"int8", "int8 with rotation"})
"""What `--quantization int8` takes as it is stored."""
UNREADABLE = frozenset(
    {
        "int8 without marks",
        "codes of 8 bits",
        "quanto",
        "bitsandbytes 4-bit",
        "asym_w4a8_int8",
        "convrot_w4a4",
    }
)
"""What `convert` does not read either (ltx_core/weight_files of the patched upstream)."""
UNREAD = UNREADABLE | INT8 | {FP8_ROWS, MXFP8, MIXED}
"""What no upstream reads: it takes the codes for weights, and renders noise or fails at a shape."""

_SCALES = (".weight_scale", ".scale_weight")
_INPUT_SCALES = (".input_scale", ".scale_input")
_BY_NAME = ("asym_w4a8_int8", "convrot_w4a4")
"""Marks of what is read nowhere here, which dtypes alone would take for something else."""
_COMFY = {FP8_ROWS: "fp8_scaled", NVFP4: "nvfp4", MXFP8: "mxfp8", MIXED: "fp4_mixed"}


def precision_of(header: Header, blocks: str) -> str:
    """The kind: "bf16", "fp8 with scales". `blocks` is how the names of the blocks begin."""
    tensors = {name: t for name, t in header.tensors.items() if name.startswith(blocks)}
    if any(name.endswith(".weight._data") for name in tensors):
        return "quanto"
    if any(name.endswith(".weight.absmax") for name in tensors):
        return "bitsandbytes 4-bit"
    marks = [mark for layer, mark in header.marks.items() if layer.startswith(blocks)]
    formats = {mark.format for mark in marks}
    if named := next((name for name in _BY_NAME if name in formats), None):
        return named
    weights = {name: t for name, t in tensors.items() if name.endswith(".weight")}
    weights = {name: t for name, t in weights.items() if len(t.shape) == 2} or weights
    kinds = {tensor.dtype for tensor in weights.values()}
    scales = _scales(tensors, weights)
    if "I8" in kinds:
        if not marks:
            return "int8 without marks"
        return "int8 with rotation" if any(mark.rotated for mark in marks) else "int8"
    if "U8" in kinds:
        if not any(t.dtype == "F8_E4M3" for t in scales):
            return "codes of 8 bits"
        return MIXED if any(kind.startswith("F8") for kind in kinds) else NVFP4
    if not any(kind.startswith("F8") for kind in kinds):
        return "/".join(sorted(kind.lower() for kind in kinds))
    if any(tensor.dtype in {"F8_E8M0", "U8"} for tensor in scales):
        return MXFP8
    if any(tensor.elements > 1 for tensor in scales):
        return FP8_ROWS
    if scales or _has_input_scales(tensors):
        return FP8_SCALED
    return FP8 if "F8_E4M3" in kinds else FP8_WIDE


def comfy_name(header: Header, precision: str, blocks: str) -> str:
    """What ComfyUI calls weights of that precision; empty where it has no word of its own."""
    if precision in INT8:
        return "int8_tensorwise" + (" with ConvRot" if precision == "int8 with rotation" else "")
    if precision == FP8_SCALED:
        inputs = _has_input_scales(n for n in header.tensors if n.startswith(blocks))
        return "fp8_input_scaled" if inputs else "fp8_scaled"
    return _COMFY.get(precision, "")


def _has_input_scales(names: Iterable[str]) -> bool:
    return any(name.endswith(_INPUT_SCALES) for name in names)


def _scales(tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Those that lie beside a weight."""
    layers = [name.removesuffix(".weight") for name in weights]
    names = (f"{layer}{end}" for layer in layers for end in _SCALES)
    return [tensors[name] for name in names if name in tensors]
