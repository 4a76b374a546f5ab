"""What becomes of each weight that a conversion reads: told by name, shape and layout alone."""

from dataclasses import dataclass
from enum import Enum

import torch

from ltx_core.int8.layers import group_for
from ltx_core.weight_files.block_linears import is_block_bias, is_block_weight
from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.layouts import INT8_FORMAT
from ltx_core.weight_files.markers import MARKER, Marker, render_marker
from ltx_core.weight_files.model_parts import Part, part_of
from ltx_core.weight_files.output_file import DTYPES, Entry
from ltx_core.weight_files.weights import INT8_LAYOUTS, Layout, Weight

_DTYPE_OF = {stored: dtype for dtype, stored in DTYPES.items()}
_FP8 = frozenset({"F8_E4M3", "F8_E5M2"})
_CAST_PARTS = frozenset({Part.TRANSFORMER, Part.CONNECTORS, Part.PROJECTION})
_CAST_ENDS = (".weight", ".bias")


class Target(Enum):
    """What the block's linear layers are written as; all else is bf16, or what it was where it is no layer's."""

    INT8 = "int8"
    FP8 = "fp8"
    BF16 = "bf16"


class Treatment(Enum):
    """What is done with one weight."""

    KEEP = "keep"  # as it is stored
    PASS_CODES = "pass codes"  # int8 as it is stored
    QUANTIZE = "quantize"  # to int8
    CAST = "cast"  # to the dtype of its entry


@dataclass(frozen=True, slots=True)
class Planned:
    """One weight, and the tensors that it is written as."""

    weight: Weight
    treatment: Treatment
    entries: tuple[Entry, ...]  # of int8: codes, scales, marker
    marker: Marker | None = None  # of int8


def plan_weight(weight: Weight, name: str, target: Target) -> Planned:
    """Return what becomes of `weight`, which is `name` in upstream's checkpoint. Raises: UnreadableFile."""
    in_block = is_block_weight(name) and len(weight.shape) == 2
    if target is Target.INT8 and in_block:
        return _int8(weight, name)
    if target is Target.FP8 and (in_block or is_block_bias(name)):
        return _cast(weight, name, torch.float8_e4m3fn)
    if weight.layout is Layout.PLAIN and not _is_cast(weight, name, in_block):
        if weight.stored not in _DTYPE_OF:
            raise UnreadableFile(f"{name} is stored as {weight.stored}", "take the model in bf16")
        return Planned(weight, Treatment.KEEP, (Entry(name, _DTYPE_OF[weight.stored], weight.shape),))
    return _cast(weight, name, torch.bfloat16)


def _int8(weight: Weight, name: str) -> Planned:
    rows, columns = weight.shape
    if weight.layout in INT8_LAYOUTS:
        treatment, group_size = Treatment.PASS_CODES, weight.group_size
    else:
        treatment, group_size = Treatment.QUANTIZE, group_for(columns)
    marker = Marker(INT8_FORMAT, group_size)
    entries = (
        Entry(name, torch.int8, weight.shape),
        Entry(f"{name}_scale", torch.float32, (rows, 1)),
        Entry(name.removesuffix(".weight") + MARKER, torch.uint8, (len(render_marker(marker)),)),
    )
    return Planned(weight, treatment, entries, marker)


def _cast(weight: Weight, name: str, dtype: torch.dtype) -> Planned:
    is_same = weight.layout is Layout.PLAIN and weight.stored == DTYPES[dtype]
    return Planned(weight, Treatment.KEEP if is_same else Treatment.CAST, (Entry(name, dtype, weight.shape),))


def _is_cast(weight: Weight, name: str, in_block: bool) -> bool:
    """Whether a plain tensor becomes bf16: what no model computes in, and layers of models that compute in bf16."""
    if weight.stored in _FP8 or in_block:
        return True
    return part_of(name) in _CAST_PARTS and name.endswith(_CAST_ENDS) and weight.stored in ("F16", "F32", "F64")
