"""Reading a LoRA in whichever layout it was saved, with its alphas, as upstream reads one in its own layout."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeVar

import safetensors
import torch

from ltx_core.loader.lora_names import ALPHA, A, B, kinds, loader_names
from ltx_core.loader.primitives import LoraPathStrengthAndSDOps
from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_RENAMING_MAP, KeyValueOperationResult, SDOps

logger = logging.getLogger(__name__)

SourceT = TypeVar("SourceT")  # LoraSource, whose module imports this one

_WEIGHT = ".weight"
_COMPILED = "._orig_mod."  # what torch.compile puts into the names of the blocks


@dataclass(frozen=True, slots=True)
class _OneFile(SDOps):
    """The same operations for one LoRA file: `names` are read as upstream's, each B in `scales` is multiplied."""

    names: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)

    def apply_to_key(self, key: str) -> str | None:
        return SDOps.apply_to_key(self, self.names.get(key, key))  # super() knows no class made anew for its slots

    def apply_to_key_value(self, key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        scaled = (value.to(torch.float32) * self.scales[key]).to(value.dtype) if key in self.scales else value
        return [KeyValueOperationResult(key, scaled)]


def in_any_layout(
    loras: Iterable[LoraPathStrengthAndSDOps], weights: Iterable[str]
) -> tuple[LoraPathStrengthAndSDOps, ...]:
    """Return `loras` with sd_ops that read each file as it lies there; only headers and alphas are read here.
    `weights` are the keys of the model's state dict. Where a module has an alpha, its B counts alpha / rank times: the
    product is made in float32 and rounded to B's dtype. A LoRA with sd_ops of its caller's own keeps them. Raises:
    ValueError for an alpha that is not finite.
    """
    names = (key.replace(_COMPILED, ".") for key in weights)
    modules = frozenset(name.removesuffix(_WEIGHT) for name in names if name.endswith(_WEIGHT))
    own = LTXV_LORA_COMFY_RENAMING_MAP.name  # also where compiling added to the operations
    return tuple(
        lora._replace(sd_ops=_sd_ops(lora, modules)) if lora.sd_ops and lora.sd_ops.name == own else lora
        for lora in loras
    )


def _sd_ops(lora: LoraPathStrengthAndSDOps, modules: frozenset[str]) -> SDOps:
    with safetensors.safe_open(lora.path, framework="pt") as file:
        every = list(file.keys())
        names = loader_names(every, modules)
        ranks = {key: file.get_slice(name).get_shape()[0] for name, key in names.items() if key.endswith(A)}
        alphas = {key: file.get_tensor(name).item() for name, key in names.items() if key.endswith(ALPHA)}
    scales = {}
    for key, alpha in alphas.items():
        module = key.removesuffix(ALPHA)
        if not math.isfinite(alpha):
            raise ValueError(f"{lora.path}: the alpha of {module} is {alpha}; take the file from its source again")
        rank = ranks.get(module + A, alpha)
        if alpha != rank:
            scales[lora.sd_ops.apply_to_key(module + B)] = alpha / rank
    if left := [name for name in every if name not in names]:
        logger.warning(f"{lora.path}: {len(names)} of {len(every)} tensors change this model; left out: {kinds(left)}")
    # A registry tells what it holds by path and name; another model may read other tensors of the same file.
    name = f"{lora.sd_ops.name}_{len(names)}"
    return _OneFile(name, lora.sd_ops.mapping, names=names, scales=scales)


def counting_alphas(source: type[SourceT]) -> type[SourceT]:
    """Return upstream's LoraSource, which reads matrices from the file itself, with each B as its sd_ops give it."""
    init = source.__init__

    @wraps(init)
    def __init__(self: SourceT, path: str, sd_ops: SDOps | None, strength: float) -> None:  # noqa: N807, in its place
        init(self, path, sd_ops, strength)
        if sd_ops is not None:
            for module, (_, b) in self._pinned_ab.items():
                b.copy_(sd_ops.apply_to_key_value(module + B, b)[0].new_value)

    source.__init__ = __init__
    return source
