"""What becomes of each tensor of a Gemma root: a pure rule of names, shapes and dtypes.

The loader, the module op and the writer each derive the plan from the same headers, so none must remember what
another did: a meta model whose layers an earlier build has swapped fits the tensors of a later one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from ltx_core.text_encoders.gemma.quantized import methods
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.key_names import hub_name, is_language_linear_weight, older_name
from ltx_core.text_encoders.gemma.quantized.methods import Method, PackedWeight
from ltx_core.text_encoders.gemma.quantized.root import CONFIG_NAME

_WEIGHT = ".weight"
_FLOATS = frozenset({"F32", "F16", "BF16"})


class Treatment(Enum):
    """What is done to a stored tensor on its way into the model."""

    KEEP = auto()  # cast to bf16
    QUANTIZE = auto()
    VERBATIM = auto()  # part of an already quantized layer, or no float: not a bit changes
    UNUSED = auto()  # the model has no place for it


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A stored tensor, the name under which the model knows it, and its treatment."""

    stored: StoredTensor
    target: str  # "" if UNUSED
    treatment: Treatment
    method: Method | None = None  # that it is quantized by, if it is to be

    @property
    def is_unchanged(self) -> bool:
        """Whether the bytes that are stored are those that the model takes."""
        is_bf16 = self.treatment is Treatment.KEEP and self.stored.dtype == "BF16"
        return is_bf16 or self.treatment is Treatment.VERBATIM

    @property
    def last_name(self) -> str:
        """Its name below its layer."""
        return self.stored.name.rpartition(".")[2]

    @property
    def part_names(self) -> list[str]:
        """The stored names of what it becomes: those of its quantized layer's parts, or its own."""
        if self.method is None:
            return [self.stored.name]
        layer = self.stored.name.removesuffix(_WEIGHT)
        return [f"{layer}.{part}" for part in self.method.part_names]


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """A Linear of the model that a quantized layer takes the place of."""

    target: str  # the module's name in the model
    method: Method
    weight: PackedWeight


@dataclass(frozen=True, slots=True)
class Plan:
    """Every stored tensor once, and the layers to swap."""

    tensors: tuple[PlannedTensor, ...]
    layers: tuple[QuantizedLayer, ...]


def make_plan(stored: Iterable[StoredTensor], method: Method | None, to_target: Callable[[str], str | None]) -> Plan:
    """Plan the load of `stored`, quantizing the language model's Linear weights by `method` (None: nothing more).

    Already quantized layers stay as they are, by whatever method. `to_target` gives the model's name of a stored one.
    Raises: GemmaRootError if a quantized layer is incomplete or a dtype is unknown.
    """
    by_name = {tensor.name: tensor for tensor in stored}
    holders: dict[str, Method] = {}  # of the weights of already quantized layers
    parts: set[str] = set()
    for known in methods.METHODS:
        for weight, names in known.stored_layers(by_name).items():
            holders[weight] = known
            parts.update(names)
    tensors: list[PlannedTensor] = []
    layers: list[QuantizedLayer] = []
    for tensor in by_name.values():
        target = target_of(tensor.name, to_target)
        if target is None:
            tensors.append(PlannedTensor(tensor, "", Treatment.UNUSED))
            continue
        treatment = Treatment.VERBATIM if tensor.name in parts else _treatment(tensor, method)
        quantized_by = method if treatment is Treatment.QUANTIZE else None
        tensors.append(PlannedTensor(tensor, target, treatment, quantized_by))
        layer = target.removesuffix(_WEIGHT)
        if (holder := holders.get(tensor.name)) is not None:
            layers.append(QuantizedLayer(layer, holder, PackedWeight(tensor.shape, tensor.dtype, tensor.nbytes)))
        elif quantized_by is not None:
            layers.append(QuantizedLayer(layer, quantized_by, quantized_by.packed(tensor.shape)))
    return Plan(tuple(tensors), tuple(layers))


def require_as_stated(stated: tuple[Method, ...], stored: Iterable[StoredTensor], root: str) -> None:
    """The shards hold layers quantized by what config.json may state, and none where it states nothing.

    Raises: GemmaRootError.
    """
    held = {layer.method for layer in make_plan(stored, None, str).layers}
    if bool(held) != bool(stated) or not held <= set(stated):
        raise GemmaRootError(
            f"the shards of {root} are not quantized as its {CONFIG_NAME} says",
            f"download {CONFIG_NAME} and the shards again, from one repository",
        )


def target_of(name: str, to_target: Callable[[str], str | None]) -> str | None:
    """The model's name of a stored tensor, in whichever layout; None if the model has no place for it."""
    hub = hub_name(name)
    target = to_target(hub)
    return to_target(older_name(hub)) if target is None else target


def _treatment(tensor: StoredTensor, method: Method | None) -> Treatment:
    """Of a tensor that is no part of a quantized layer."""
    if tensor.dtype not in _FLOATS:
        if tensor.name.endswith(_WEIGHT):
            raise GemmaRootError(
                f"{tensor.name} in {tensor.file} is {tensor.dtype} without the scales of bitsandbytes",
                "use a float32, float16 or bfloat16 Gemma root, or one quantized with bitsandbytes",
            )
        return Treatment.VERBATIM
    if method is not None and is_language_linear_weight(tensor.name, tensor.shape):
        return Treatment.QUANTIZE
    return Treatment.KEEP
