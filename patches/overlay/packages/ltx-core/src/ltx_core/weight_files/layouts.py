"""Which tensors of safetensors files make up one weight, and in which layout: told by headers and markers alone.

A layer's weight `LAYER.weight` may be stored as codes, with scales beside it and a marker (markers.py) that names the
format. Formats, as ComfyUI writes them (comfy/quant_ops.py and comfy/ops.py, August 2026):

    int8_tensorwise          I8 (N, K); `weight_scale` F32 [], [1], [N] or [N, 1]
    float8_e4m3fn, _e5m2     F8; `weight_scale` likewise, perhaps `input_scale`, of products in fp8 only
    mxfp8                    F8_E4M3 (N, K); `weight_scale` F8_E8M0 or U8, one for each 32 of K, swizzled
    nvfp4                    U8 (N, K / 2); `weight_scale` F8_E4M3 or U8, one for each 16 of K, swizzled;
                             `weight_scale_2` F32 [], one for all

Files of 2025 have `scale_weight` and `scale_input`, one `scaled_fp8` for all, and no markers. Upstream's own files have
none either: fp8 with a `weight_scale`, nvfp4 with both of its scales. Without a marker int8 is refused, since one that
is rotated looks like one that is not.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ltx_core.weight_files.dequantization import MXFP8_BLOCK, NVFP4_BLOCK
from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.header import StoredTensor
from ltx_core.weight_files.markers import MARKER, Marker
from ltx_core.weight_files.swizzle import stored_count
from ltx_core.weight_files.weights import Layout

INT8_FORMAT = "int8_tensorwise"

_WEIGHT, _SCALED = ".weight", (".weight", ".bias")
_SCALE_ENDS = ("_scale", "_scale_2")  # behind the scaled tensor's own name
_OLDER_SCALE = ".scale_weight"
_UNUSED = (".input_scale", ".scale_input", MARKER)  # behind the layer's name
_SMOOTHING = ".pre_quant_scale"
_OLDER_SENTINEL = "scaled_fp8"
_PREFIX = "model.diffusion_model."
_FP8 = frozenset({"F8_E4M3", "F8_E5M2"})
_CODES = frozenset({"I8", "U8"})
_FORMATS = {
    INT8_FORMAT: Layout.INT8_ROWWISE,
    "float8_e4m3fn": Layout.FP8_SCALED,
    "float8_e5m2": Layout.FP8_SCALED,
    "mxfp8": Layout.MXFP8,
    "nvfp4": Layout.NVFP4,
}
_DTYPES = {
    Layout.INT8_ROWWISE: frozenset({"I8"}),
    Layout.FP8_SCALED: _FP8,
    Layout.MXFP8: frozenset({"F8_E4M3"}),
    Layout.NVFP4: frozenset({"U8"}),
}
_SCALE_DTYPES = {
    Layout.INT8_ROWWISE: frozenset({"F32", "BF16", "F16"}),
    Layout.FP8_SCALED: frozenset({"F32", "BF16", "F16"}),
    Layout.MXFP8: frozenset({"F8_E8M0", "U8"}),
    Layout.NVFP4: frozenset({"F8_E4M3", "U8"}),
}
_GROUP_SIZES = (4, 16, 64, 256, 1024)
_AGAIN = "download the file again, or take the model in another layout"
_OTHER = "take the model in bf16, fp8, int8, mxfp8, nvfp4 or GGUF"


@dataclass(frozen=True, slots=True)
class Held:
    """One weight, and the tensors that make it up."""

    name: str
    shape: tuple[int, ...]  # of the values
    layout: Layout
    parts: tuple[StoredTensor, ...]  # values or codes first, then the scales
    group_size: int | None = None  # of a rotated int8 weight


def held_weights(tensors: Mapping[str, StoredTensor], markers: Mapping[str, Marker]) -> Iterator[Held]:
    """Yield each weight of the files once. Raises: UnreadableFile for what is in no layout of these."""
    for name, tensor in tensors.items():
        if not _belongs_to_another(name, tensors):
            yield _held(tensor, tensors, markers)


def _belongs_to_another(name: str, tensors: Mapping[str, StoredTensor]) -> bool:
    """Whether a tensor is a scale or a marker of another, or means nothing any more."""
    if name.removeprefix(_PREFIX) == _OLDER_SENTINEL:
        return True
    for end in _SCALE_ENDS:
        if name.endswith(end) and (scaled := name.removesuffix(end)) in tensors and scaled.endswith(_SCALED):
            return True
    ends = (_OLDER_SCALE, _SMOOTHING, *_UNUSED)
    return any(name.endswith(end) and name.removesuffix(end) + _WEIGHT in tensors for end in ends)


def _held(tensor: StoredTensor, tensors: Mapping[str, StoredTensor], markers: Mapping[str, Marker]) -> Held:
    name = tensor.name
    layer = name.removesuffix(_WEIGHT)
    marker = _marker_of(layer, markers) if name.endswith(_WEIGHT) else None
    scale = tensors.get(f"{name}_scale") or tensors.get(layer + _OLDER_SCALE)
    layout = _marked_layout(marker, tensor) if marker else _unmarked_layout(tensor, scale, tensors)
    if layout is Layout.PLAIN:
        return Held(name, tensor.shape, layout, (tensor,))
    if layer + _SMOOTHING in tensors:
        raise UnreadableFile(f"{layer} of {tensor.file} has a {_SMOOTHING[1:]}, which is not read here", _OTHER)
    if scale is None or scale.dtype not in _SCALE_DTYPES[layout]:
        raise _wrong(tensor, layout, "it has no scales of that layout")
    if not _is_right_count(scale, tensor, layout):
        raise _wrong(tensor, layout, f"its scales are {list(scale.shape)}")
    parts = (tensor, scale)
    shape = tensor.shape
    if layout is Layout.NVFP4:
        whole = tensors.get(f"{name}_scale_2")
        if whole is None or whole.numel != 1:
            raise _wrong(tensor, layout, "it has no scale for all")
        parts, shape = (*parts, whole), (shape[0], 2 * shape[1])
    group_size = marker.group_size if marker else None
    if layout is Layout.INT8_ROWWISE and group_size is not None:
        if group_size not in _GROUP_SIZES or tensor.shape[1] % group_size:
            raise _wrong(tensor, layout, f"it is {list(tensor.shape)} and rotated by {group_size}")
        return Held(name, shape, Layout.INT8_CONVROT, parts, group_size)
    return Held(name, shape, layout, parts)


def _marker_of(layer: str, markers: Mapping[str, Marker]) -> Marker | None:
    """What is said of a layer, whether its name there has the transformer's prefix or not."""
    bare = layer.removeprefix(_PREFIX)
    return next((markers[name] for name in (layer, bare, _PREFIX + bare) if name in markers), None)


def _marked_layout(marker: Marker, tensor: StoredTensor) -> Layout:
    layout = _FORMATS.get(marker.format)
    if layout is None:
        raise UnreadableFile(f"{tensor.name} of {tensor.file} is {marker.format}, which is not read here", _OTHER)
    if tensor.dtype not in _DTYPES[layout] or (layout is not Layout.FP8_SCALED and len(tensor.shape) != 2):
        raise _wrong(tensor, layout, f"it is {tensor.dtype} {list(tensor.shape)}")
    return layout


def _unmarked_layout(tensor: StoredTensor, scale: StoredTensor | None, tensors: Mapping[str, StoredTensor]) -> Layout:
    is_matrix = len(tensor.shape) == 2
    if tensor.dtype in _FP8 and scale is not None:
        return Layout.MXFP8 if is_matrix and scale.dtype in _SCALE_DTYPES[Layout.MXFP8] else Layout.FP8_SCALED
    if tensor.dtype not in _CODES or not tensor.name.endswith(_WEIGHT):
        return Layout.PLAIN
    if tensor.dtype == "U8" and is_matrix and scale is not None and f"{tensor.name}_scale_2" in tensors:
        return Layout.NVFP4
    raise UnreadableFile(
        f"{tensor.name} of {tensor.file} is {tensor.dtype}, and nothing in the file says how it is to be read",
        "take a file that says it, as ComfyUI writes them now",
    )


def _is_right_count(scale: StoredTensor, tensor: StoredTensor, layout: Layout) -> bool:
    if layout is Layout.MXFP8:
        return _has_blocks(scale, tensor.shape[0], tensor.shape[1], MXFP8_BLOCK)
    if layout is Layout.NVFP4:
        return _has_blocks(scale, tensor.shape[0], 2 * tensor.shape[1], NVFP4_BLOCK)
    rows = tensor.shape[:1]
    return scale.numel == 1 or scale.shape == rows or (scale.shape[:1] == rows and math.prod(scale.shape[1:]) == 1)


def _has_blocks(scale: StoredTensor, rows: int, columns: int, block: int) -> bool:
    return columns % block == 0 and scale.numel == stored_count(rows, columns // block)


def _wrong(tensor: StoredTensor, layout: Layout, fact: str) -> UnreadableFile:
    return UnreadableFile(f"{tensor.name} of {tensor.file} cannot be read as {layout.value}: {fact}", _AGAIN)
