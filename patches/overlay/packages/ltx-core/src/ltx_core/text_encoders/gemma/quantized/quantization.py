"""The quantized load of one Gemma root, checked before any work: what a base's hooks call."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from ltx_core.loader.module_ops import ModuleOps
from ltx_core.loader.sd_ops import SDOps
from ltx_core.text_encoders.gemma.quantized.errors import GemmaFlagsError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.flags import asked_method
from ltx_core.text_encoders.gemma.quantized.loader import QuantizingLoader
from ltx_core.text_encoders.gemma.quantized.meta_model import Slots, require_weights, swap_layers
from ltx_core.text_encoders.gemma.quantized.methods import Method
from ltx_core.text_encoders.gemma.quantized.plan import Plan, make_plan, require_as_stated
from ltx_core.text_encoders.gemma.quantized.root import (
    find_model,
    read_config,
    read_shards,
    require_model,
    stated_methods,
)

BuilderT = TypeVar("BuilderT")  # upstream's SingleGPUModelBuilder of any base where it is a dataclass


@dataclass(frozen=True)
class GemmaQuantization:
    """How one Gemma root is loaded quantized: the arguments of upstream's builder that differ.

    Build without a dtype: the loader has cast what is to be cast, and casting again would corrupt the rest.
    """

    model_path: tuple[str, ...]  # the shards
    model_sd_ops: SDOps  # the base's, under a name of its own: registries tell state dicts apart by it
    model_loader: QuantizingLoader
    module_ops: tuple[ModuleOps, ...]  # to be added to the base's
    _plan: Plan = field(repr=False)
    _model: Path = field(repr=False)  # the folder of the shards, or the packed file

    def check(self, model: torch.nn.Module) -> None:
        """The shards fill `model`, on the meta device and before the module ops. Raises: GemmaRootError."""
        require_weights(Slots.of(model), self._plan, str(self._model))

    def applied_to(self, builder: BuilderT) -> BuilderT:
        """The builder with this load in place of its own, checked against its model. Raises: GemmaRootError."""
        self.check(builder.meta_model(builder.model_config(), ()))
        return replace(
            builder, model_path=self.model_path, model_sd_ops=self.model_sd_ops, model_loader=self.model_loader
        )


def gemma_quantization(
    gemma_root: str, device: torch.device, sd_ops: SDOps, *, gemma_4bit: bool, gemma_8bit: bool
) -> GemmaQuantization | None:
    """What `quantization_of` says of the method that the keywords ask for. Raises: GemmaQuantizationError."""
    return quantization_of(gemma_root, device, sd_ops, asked_method(gemma_4bit, gemma_8bit))


def quantization_of(
    gemma_root: str, device: torch.device, sd_ops: SDOps, asked: Method | None
) -> GemmaQuantization | None:
    """How to load the root quantized: as asked for, or as it already is. None leaves the load to upstream.

    `device` is where the model will run, and where its weights are quantized. Only headers are read.
    Raises: GemmaFlagsError, GemmaRootError, BitsAndBytesUnavailable.
    """
    root = Path(gemma_root)
    model = find_model(root) if asked is None else require_model(root)
    stated = () if model is None else stated_methods(read_config(model), model)
    if model is None or not (stated or asked):
        return None
    label = stated[0].label if stated else asked.label
    if asked is not None and asked.label != label:
        raise GemmaFlagsError(
            f"{asked.flag.name} was given, but {model} is already quantized to {label}",
            f"leave the flag out, or give a bf16 Gemma root to {asked.flag.name}",
        )
    shards = read_shards(model)
    require_as_stated(stated, shards.tensors, str(model))
    quantize_by = None if stated else asked
    plan = make_plan(shards.tensors, quantize_by, sd_ops.apply_to_key)
    for method in dict.fromkeys(layer.method for layer in plan.layers):
        method.require(device)
    return GemmaQuantization(
        model_path=tuple(str(file) for file in shards.files),
        model_sd_ops=replace(sd_ops, name=f"{sd_ops.name}+{label}"),
        model_loader=QuantizingLoader(quantize_by, device),
        module_ops=(swap_layers(plan.layers),),
        _plan=plan,
        _model=model,
    )


def check_gemma_flags(gemma_4bit: bool, gemma_8bit: bool, *gemma_roots: str | None) -> None:
    """The flags do not contradict each other, and with one of them each root holds a model: what can be told first.

    Raises: GemmaFlagsError, GemmaRootError.
    """
    if asked_method(gemma_4bit, gemma_8bit) is not None:
        for root in gemma_roots:
            if root is not None:
                require_model(Path(root))


def require_unquantized(gemma_root: str, reason: str) -> None:
    """The root is not already quantized, where `reason` says why it must not be. Raises: GemmaRootError."""
    model = find_model(Path(gemma_root))
    if model is not None and (stated := stated_methods(read_config(model), model)):
        raise GemmaRootError(
            f"{model} is quantized to {stated[0].label}, which cannot be taken here: {reason}",
            "give a bf16 Gemma root",
        )
