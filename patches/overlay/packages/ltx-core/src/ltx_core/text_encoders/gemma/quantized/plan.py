"""What becomes of each tensor of a Gemma root: a pure rule of names, shapes and dtypes.

The loader, the module op and the writer each derive the plan from the same headers, so none must remember what
another did: a shell that was swapped in an earlier build fits the tensors of a later one.

Layout of a quantized layer `L`, as transformers (4.41 and newer) saves it and bitsandbytes (0.43 and newer) reads it:
- 4-bit: `L.weight` packed (n/2, 1), `L.weight.absmax`, `L.weight.quant_map`, `L.weight.quant_state.bitsandbytes__nf4`
  (or `__fp4`; JSON as bytes), and with double quantization `L.weight.nested_absmax`, `L.weight.nested_quant_map`;
- 8-bit: `L.weight` int8 (out, in), `L.SCB` float32 (out,), `L.weight_format` uint8 ().
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.mode import Mode
from ltx_core.text_encoders.gemma.quantized.root import CONFIG_NAME
from ltx_core.text_encoders.gemma.quantized.spelling import hub_spelling, is_language_linear_weight, older_spelling

_WEIGHT = "weight"
_QUANT_STATES = {f".quant_state.bitsandbytes__{quant_type}": quant_type for quant_type in ("nf4", "fp4")}
_ALWAYS_4BIT = (".absmax", ".quant_map")
_NESTED_4BIT = (".nested_absmax", ".nested_quant_map")
_FLOATS = frozenset({"F32", "F16", "BF16"})
_INCOMPLETE = "download the shards again, or quantize the bf16 root anew"


class Treatment(Enum):
    """What is done to a stored tensor on its way into the model."""

    KEEP = auto()  # cast to bf16
    NF4 = auto()  # quantized to 4 bits
    INT8 = auto()  # quantized to 8 bits
    VERBATIM = auto()  # part of an already quantized layer, or no float: not a bit changes
    UNUSED = auto()  # the model has no place for it


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A stored tensor, the name under which the model knows it, and its treatment."""

    stored: StoredTensor
    target: str  # "" if UNUSED
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """A Linear of the model that a quantized layer takes the place of."""

    target: str  # the module's name in the model
    mode: Mode
    quant_type: str  # "nf4" or "fp4", "" in 8-bit
    stored_shape: tuple[int, ...]  # of the weight as it will be handed to the layer
    stored_dtype: str  # safetensors' spelling; 4-bit may be packed into any dtype (quant_storage)
    nbytes: int  # of that weight: out * in, or half of it rounded up in 4-bit


@dataclass(frozen=True, slots=True)
class Plan:
    """Every stored tensor once, and the layers to swap."""

    tensors: tuple[PlannedTensor, ...]
    layers: tuple[QuantizedLayer, ...]


def make_plan(stored: Iterable[StoredTensor], mode: Mode | None, to_target: Callable[[str], str | None]) -> Plan:
    """Plan the load of `stored`, quantizing the language model's Linear weights to `mode` (None: nothing more).

    Already quantized layers stay as they are whatever the mode. `to_target` gives the model's name of a stored one.
    Raises: GemmaRootError if a quantized layer is incomplete or a dtype is unknown.
    """
    by_name = {tensor.name: tensor for tensor in stored}
    packed = _packed_layers(by_name)
    parts = {part for layer_parts in packed.values() for part in layer_parts}
    tensors: list[PlannedTensor] = []
    layers: list[QuantizedLayer] = []
    for tensor in by_name.values():
        target = target_of(tensor.name, to_target)
        if target is None:
            tensors.append(PlannedTensor(tensor, "", Treatment.UNUSED))
            continue
        treatment = _treatment(tensor, mode, is_part=tensor.name in parts)
        tensors.append(PlannedTensor(tensor, target, treatment))
        layer = target.removesuffix("." + _WEIGHT)
        if tensor.name in packed:
            layers.append(_packed_layer(layer, tensor, packed[tensor.name]))
        elif treatment is Treatment.NF4:
            shape = (math.ceil(tensor.numel / 2), 1)
            layers.append(QuantizedLayer(layer, Mode.NF4, "nf4", shape, "U8", shape[0]))
        elif treatment is Treatment.INT8:
            layers.append(QuantizedLayer(layer, Mode.INT8, "", tensor.shape, "I8", tensor.numel))
    return Plan(tuple(tensors), tuple(layers))


def require_as_stated(stated: Mode | None, stored: Iterable[StoredTensor], root: str) -> None:
    """The layers that the shards hold quantized are so as config.json states, none where it states nothing.

    Raises: GemmaRootError.
    """
    if {layer.mode for layer in make_plan(stored, None, str).layers} != {stated} - {None}:
        raise GemmaRootError(
            f"the shards of {root} are not quantized as its {CONFIG_NAME} says",
            f"download {CONFIG_NAME} and the shards again, from one repository",
        )


def part_names(planned: PlannedTensor) -> list[str]:
    """The stored names of what a tensor becomes: those of its quantized layer's parts, or its own."""
    if planned.treatment is Treatment.NF4:
        suffixes = ("", *_ALWAYS_4BIT, *_NESTED_4BIT, next(iter(_QUANT_STATES)))
        return [planned.stored.name + suffix for suffix in suffixes]
    if planned.treatment is Treatment.INT8:
        layer = planned.stored.name.removesuffix(_WEIGHT)
        return [layer + part for part in (_WEIGHT, "SCB", "weight_format")]
    return [planned.stored.name]


def target_of(name: str, to_target: Callable[[str], str | None]) -> str | None:
    """The model's name of a stored tensor, however it is spelled; None if the model has no place for it."""
    hub = hub_spelling(name)
    target = to_target(hub)
    return to_target(older_spelling(hub)) if target is None else target


def _treatment(tensor: StoredTensor, mode: Mode | None, *, is_part: bool) -> Treatment:
    if is_part:
        return Treatment.VERBATIM
    if tensor.dtype not in _FLOATS:
        if tensor.name.endswith("." + _WEIGHT):
            raise GemmaRootError(
                f"{tensor.name} in {tensor.file} is {tensor.dtype} without the scales of bitsandbytes",
                "use a float32, float16 or bfloat16 Gemma root, or one quantized with bitsandbytes",
            )
        return Treatment.VERBATIM
    if mode is not None and is_language_linear_weight(tensor.name, tensor.shape):
        return Treatment.NF4 if mode is Mode.NF4 else Treatment.INT8
    return Treatment.KEEP


def _packed_layers(by_name: Mapping[str, StoredTensor]) -> dict[str, tuple[str, ...]]:
    """The weight of each already quantized layer, with the names of all its parts, the weight first."""
    packed: dict[str, tuple[str, ...]] = {}
    for name in by_name:
        for suffix in (*_QUANT_STATES, *_ALWAYS_4BIT, *_NESTED_4BIT):
            weight = name.removesuffix(suffix)
            if weight != name and weight.endswith("." + _WEIGHT) and weight not in packed:
                packed[weight] = _complete(by_name, (weight, *_parts_4bit(by_name, weight)))
        if name.endswith(".SCB"):
            weight = name.removesuffix("SCB") + _WEIGHT
            stated_format = name.removesuffix("SCB") + "weight_format"
            packed[weight] = _complete(by_name, (weight, name, *([stated_format] if stated_format in by_name else [])))
    return packed


def _parts_4bit(by_name: Mapping[str, StoredTensor], weight: str) -> tuple[str, ...]:
    states = [weight + suffix for suffix in _QUANT_STATES if weight + suffix in by_name]
    nested = [weight + suffix for suffix in _NESTED_4BIT]
    absmax = by_name.get(weight + ".absmax")
    is_nested = any(name in by_name for name in nested) or (absmax is not None and absmax.dtype == "U8")
    state = states[0] if states else weight + next(iter(_QUANT_STATES))
    return (*(weight + suffix for suffix in _ALWAYS_4BIT), *(nested if is_nested else ()), state)


def _complete(by_name: Mapping[str, StoredTensor], parts: tuple[str, ...]) -> tuple[str, ...]:
    if missing := [name for name in parts if name not in by_name]:
        raise GemmaRootError(f"the quantized layer of {parts[0]} lacks {', '.join(missing)}", _INCOMPLETE)
    return parts


def _packed_layer(layer: str, weight: StoredTensor, parts: tuple[str, ...]) -> QuantizedLayer:
    state = parts[-1].removeprefix(weight.name)
    if state in _QUANT_STATES:
        return QuantizedLayer(layer, Mode.NF4, _QUANT_STATES[state], weight.shape, weight.dtype, weight.nbytes)
    if weight.dtype != "I8":
        raise GemmaRootError(f"{weight.name} has 8-bit scales but is {weight.dtype}", _INCOMPLETE)
    return QuantizedLayer(layer, Mode.INT8, "", weight.shape, weight.dtype, weight.nbytes)
