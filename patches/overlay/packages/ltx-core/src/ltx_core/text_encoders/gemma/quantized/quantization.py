"""The quantized load of one Gemma root, checked before any work: what a base's hooks call."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from ltx_core.loader.module_ops import ModuleOps
from ltx_core.loader.sd_ops import SDOps
from ltx_core.text_encoders.gemma.quantized.backend import require_bitsandbytes
from ltx_core.text_encoders.gemma.quantized.errors import GemmaFlagsError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.loader import QuantizingLoader
from ltx_core.text_encoders.gemma.quantized.mode import requested_mode
from ltx_core.text_encoders.gemma.quantized.plan import Plan, make_plan, require_as_stated
from ltx_core.text_encoders.gemma.quantized.root import (
    find_model,
    prequantized_mode,
    read_config,
    read_shards,
    require_model,
)
from ltx_core.text_encoders.gemma.quantized.shell import Blank, require_weights, swap_layers

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

    def check(self, shell: torch.nn.Module) -> None:
        """The shards fill `shell`, the model on the meta device before the module ops. Raises: GemmaRootError."""
        require_weights(Blank.of(shell), self._plan, str(self._model))

    def applied_to(self, builder: BuilderT) -> BuilderT:
        """The builder with this load in place of its own, checked against its model. Raises: GemmaRootError."""
        self.check(builder.meta_model(builder.model_config(), ()))
        return replace(
            builder, model_path=self.model_path, model_sd_ops=self.model_sd_ops, model_loader=self.model_loader
        )


def gemma_quantization(
    gemma_root: str, device: torch.device, sd_ops: SDOps, *, gemma_4bit: bool, gemma_8bit: bool
) -> GemmaQuantization | None:
    """How to load the root quantized: as asked for, or as it already is. None leaves the load to upstream.

    `device` is where the model will run, and where its weights are quantized. Only headers are read.
    Raises: GemmaFlagsError, GemmaRootError, BitsAndBytesUnavailable.
    """
    asked = requested_mode(gemma_4bit, gemma_8bit)
    root = Path(gemma_root)
    model = find_model(root) if asked is None else require_model(root)
    stored = None if model is None else prequantized_mode(read_config(model), model)
    if model is None or (mode := stored or asked) is None:
        return None
    if asked not in (None, mode):
        raise GemmaFlagsError(
            f"{asked.flag} was given, but {model} is already quantized to {mode.value}",
            f"leave the flag out, or give a bf16 Gemma root to {asked.flag}",
        )
    shards = read_shards(model)
    require_as_stated(stored, shards.tensors, str(model))
    quantize_to = mode if stored is None else None
    plan = make_plan(shards.tensors, quantize_to, sd_ops.apply_to_key)
    require_bitsandbytes(mode, device)
    return GemmaQuantization(
        model_path=tuple(str(file) for file in shards.files),
        model_sd_ops=replace(sd_ops, name=f"{sd_ops.name}+{mode.value}"),
        model_loader=QuantizingLoader(quantize_to, device),
        module_ops=(swap_layers(plan.layers),),
        _plan=plan,
        _model=model,
    )


def check_gemma_flags(gemma_4bit: bool, gemma_8bit: bool, *gemma_roots: str | None) -> None:
    """The flags do not contradict each other, and with one of them each root holds a model: what can be told first.

    Raises: GemmaFlagsError, GemmaRootError.
    """
    if requested_mode(gemma_4bit, gemma_8bit) is not None:
        for root in gemma_roots:
            if root is not None:
                require_model(Path(root))


def require_unquantized(gemma_root: str, reason: str) -> None:
    """The root is not already quantized, where `reason` says why it must not be. Raises: GemmaRootError."""
    model = find_model(Path(gemma_root))
    if model is not None and (stored := prequantized_mode(read_config(model), model)) is not None:
        raise GemmaRootError(
            f"{model} is quantized to {stored.value}, which cannot be taken here: {reason}", "give a bf16 Gemma root"
        )
