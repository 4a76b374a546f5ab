"""Building a model in host memory, each tensor made on the card as upstream makes it, one at a time."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch

from ltx_core.loader.fuse_loras import apply_loras
from ltx_core.loader.lora_layouts import in_any_layout
from ltx_core.loader.primitives import LoraStateDictWithStrength, StateDict
from ltx_core.loader.registry import DummyRegistry
from ltx_core.loader.sd_ops import KeyValueOperationResult, SDOps
from ltx_core.loader.transformer_dtypes import in_bf16
from ltx_core.parked.card import plain_tensors
from ltx_core.parked.recipe import Recipe

BuilderT = TypeVar("BuilderT")  # upstream's SingleGPUModelBuilder: in 1.0.0 a frozen dataclass, later a class

_HOST = torch.device("cpu")


@dataclass(frozen=True)
class OnHost(SDOps):
    """The operations `inner`, then the LoRAs, on the card; `on_host` takes what comes of them to the host."""

    inner: SDOps | None = None
    device: torch.device = _HOST
    on_host: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.cpu
    loras: tuple[LoraStateDictWithStrength, ...] = ()
    fuse_options: tuple[tuple[str, object], ...] = ()  # keywords of upstream's apply_loras that this base has

    def apply_to_key(self, key: str) -> str | None:
        return key if self.inner is None else self.inner.apply_to_key(key)

    def apply_to_key_value(self, key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        loras = self._loras_of(key)
        if not loras and (names := self._renamed(key, value)) is not None:
            return [KeyValueOperationResult(name, value) for name in names]
        made = self._fused(dict(self._operated(key, value.to(self.device))))
        on_host = {id(tensor): self.on_host(tensor) for tensor in made.values()}  # tied tensors stay one
        return [KeyValueOperationResult(name, on_host[id(tensor)]) for name, tensor in made.items()]

    def _operated(self, key: str, value: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        return [(key, value)] if self.inner is None else self.inner.apply_to_key_value(key, value)

    def _renamed(self, key: str, value: torch.Tensor) -> list[str] | None:
        """Return the names that a value gets which the operations leave as it is: it need not go to the card."""
        trial = torch.empty_like(value, device="meta")
        results = self._operated(key, trial)
        return [name for name, tensor in results] if all(tensor is trial for _, tensor in results) else None

    def _loras_of(self, key: str) -> list[LoraStateDictWithStrength]:
        module = key.removesuffix(".weight")
        pair = (f"{module}.lora_A.weight", f"{module}.lora_B.weight")
        return [
            LoraStateDictWithStrength(_alone({name: lora.sd[name] for name in pair}, lora.device), strength)
            for lora, strength in self.loras
            if all(name in lora.sd for name in pair)
        ]

    def _fused(self, made: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what one tensor became, a weight and what is kept beside it, with the LoRAs in it."""
        loras = [lora for key in made for lora in self._loras_of(key)]
        if not loras:
            return made
        alone = _alone(made, self.device)
        options = {"destination_sd": alone, **dict(self.fuse_options)}
        return apply_loras(alone, loras, **options).sd


def built_on_host(
    builder: BuilderT,
    device: torch.device,
    dtype: torch.dtype | None,
    recipe: Recipe,
    on_host: Callable[[torch.Tensor], torch.Tensor],
) -> torch.nn.Module:
    """Return upstream's model with every tensor on the host, equal to what it builds on `device`.

    `on_host` takes those there that are made, one by one; others lie in their files. By a recipe that is given, large
    tensors have no values.
    """
    paths = builder.model_path
    inner = in_bf16(builder.model_sd_ops, paths)
    name = "" if inner is None else inner.name
    with plain_tensors():
        loras = () if recipe.is_given else _loras(builder)
        fuse_options = _fuse_options(builder)
        ops = OnHost(name, inner=inner, device=device, on_host=on_host, loras=loras, fuse_options=fuse_options)
        return _with(builder, ops, recipe).build(device=_HOST, dtype=dtype)


def _loras(builder: BuilderT) -> tuple[LoraStateDictWithStrength, ...]:
    """Return the LoRAs that count, as upstream's builder reads them."""
    if not any(lora.strength for lora in builder.loras):
        return ()
    stored = builder.model_metadata() if hasattr(builder, "model_metadata") else builder.model_config()
    weights: Iterable[str] = builder.meta_model(stored, builder.module_ops).state_dict()
    return tuple(
        LoraStateDictWithStrength(
            builder.load_sd([lora.path], registry=DummyRegistry(), device=builder.lora_load_device, sd_ops=lora.sd_ops),
            lora.strength,
        )
        for lora in in_any_layout(builder.loras, weights)
    )


def _fuse_options(builder: BuilderT) -> tuple[tuple[str, object], ...]:
    if not hasattr(builder, "fuse_rule"):  # 1.0.0 tells by the weight's dtype
        return ()
    return (("fuse_rule", builder.fuse_rule), ("preserve_input_device", False))


def _with(builder: BuilderT, ops: OnHost, recipe: Recipe) -> BuilderT:
    """Return the builder with `ops` for its operations and LoRAs, and no cache of its own."""
    if dataclasses.is_dataclass(builder):
        return dataclasses.replace(builder, model_sd_ops=ops, loras=(), registry=recipe)
    return builder.with_sd_ops(ops).with_loras(()).with_registry(recipe)


def _alone(sd: dict[str, torch.Tensor], device: torch.device) -> StateDict:
    return StateDict(sd, device, sum(tensor.nbytes for tensor in sd.values()), {tensor.dtype for tensor in sd.values()})
