"""Which layers ComfyUI marks as quantized, and how: the marks of a safetensors file -> Mark.

A layer is marked by a tensor beside its weight, `<layer>.comfy_quant`, whose bytes are JSON, or in
the header's `_quantization_metadata`, {"layers": {layer: JSON}} (comfy/ops.py and comfy/utils.py,
`convert_old_quants`). The JSON names the format, and what belongs to it there or below "params".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ltx2_patcher.values.weights import Header, Mark, Tensor

_MARKER = ".comfy_quant"
_STATED = "_quantization_metadata"
_ROTATED = "convrot"
_MOST_BYTES = 4096
"""Of a mark; those that are written have some 70. What is larger is none."""


def marker_tensors(header: Header) -> Mapping[str, Tensor]:
    """The tensors whose bytes `marks_of` reads, by layer."""
    return {
        name.removesuffix(_MARKER): tensor
        for name, tensor in header.tensors.items()
        if name.endswith(_MARKER) and tensor.dtype == "U8" and tensor.bytes <= _MOST_BYTES
    }


def marks_of(metadata: Mapping[str, str], markers: Mapping[str, bytes]) -> dict[str, Mark]:
    """The marks by layer, a tensor's before the header's; what can't be read marks nothing."""
    stated = _json(metadata.get(_STATED, "{}"))
    layers = stated.get("layers")
    found: dict[str, object] = dict(layers) if isinstance(layers, dict) else {}
    found.update({layer: _json(text) for layer, text in markers.items()})
    return {layer: mark for layer, raw in found.items() if (mark := _mark(raw)) is not None}


def is_marker(name: str) -> bool:
    """Whether a tensor of that name is a mark, and no weight."""
    return name.endswith(_MARKER)


def _mark(raw: object) -> Mark | None:
    if not isinstance(raw, dict):
        return None
    params = raw.get("params")
    told = {**params, **raw} if isinstance(params, dict) else raw
    kind = told.get("format")
    if not isinstance(kind, str) or not kind.isprintable():
        return None
    return Mark(kind, told.get(_ROTATED) is True)


def _json(text: str | bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
