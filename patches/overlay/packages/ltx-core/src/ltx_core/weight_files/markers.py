"""What ComfyUI's files say of a layer's layout: JSON in a tensor `LAYER.comfy_quant`, or in the header for all layers.

The header's `_quantization_metadata` is {"layers": {LAYER: {"format": ...}}}. Options lie beside "format", or below
"params" (ComfyUI, comfy/ops.py `_load_quantized_module` and comfy/utils.py `convert_old_quants`, August 2026).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

MARKER = ".comfy_quant"
HEADER_KEY = "_quantization_metadata"
DEFAULT_GROUP_SIZE = 256


class MarkerError(ValueError):
    """A marker is no JSON object of the form that ComfyUI writes."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What is said of one layer."""

    format: str  # ComfyUI's name: "int8_tensorwise", "nvfp4"
    group_size: int | None = None  # of the rotation (ConvRot) along the inputs; None: not rotated


def parse_marker(text: bytes) -> Marker:
    """Return what a marker tensor's bytes say. Raises: MarkerError."""
    return _marker(_object(text))


def header_markers(metadata: Mapping[str, str]) -> dict[str, Marker]:
    """Return {layer: marker} of a header's metadata, {} where it says nothing of layouts. Raises: MarkerError."""
    if (text := metadata.get(HEADER_KEY)) is None:
        return {}
    layers = _object(text).get("layers")
    if not isinstance(layers, dict):
        raise MarkerError
    return {layer: _marker(said) for layer, said in layers.items()}


def render_marker(marker: Marker) -> bytes:
    """Return the bytes of the marker tensor."""
    rotation = {} if marker.group_size is None else {"convrot": True, "convrot_groupsize": marker.group_size}
    return json.dumps({"format": marker.format, **rotation}).encode()


def _object(text: str | bytes) -> dict[str, object]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MarkerError from error
    if not isinstance(said, dict):
        raise MarkerError
    return said


def _marker(said: object) -> Marker:
    if not isinstance(said, dict) or not isinstance(said.get("format"), str):
        raise MarkerError
    params = said.get("params")
    options = {**(params if isinstance(params, dict) else {}), **said}
    if not options.get("convrot", False):
        return Marker(said["format"])
    size = options.get("convrot_groupsize", DEFAULT_GROUP_SIZE)
    if isinstance(size, bool) or not isinstance(size, int):
        raise MarkerError
    return Marker(said["format"], size)
