"""What a pipeline is given as its `quantization`: how weights load, which layers change, how LoRAs fuse."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch

from ltx_core.int8.checkpoint import Checkpoint
from ltx_core.int8.layers import Stored, linear_layers
from ltx_core.int8.linear import Int8Linear, WithoutGelu
from ltx_core.int8.weights import fused
from ltx_core.loader import fuse_loras
from ltx_core.loader.module_ops import ModuleOps
from ltx_core.loader.primitives import StateDict
from ltx_core.loader.sd_ops import SDOps
from ltx_core.model.transformer.feed_forward import FeedForward
from ltx_core.model.transformer.model import LTXModel
from ltx_core.quantization import QuantizationPolicy


def int8_policy(checkpoint_path: str | Path, *, rotated: bool = True, keeps_ends: bool = False) -> QuantizationPolicy:
    """Return the policy for the transformer in a checkpoint: bf16, fp8, or ComfyUI's int8.

    `rotated` takes outliers of activations out before they are quantized; with `keeps_ends` the first block and the
    last stay in bf16. A file of integers has settled both. Raises: UnreadableFile.
    """
    checkpoint = Checkpoint.of(checkpoint_path, rotated=rotated, keeps_ends=keeps_ends)
    names = sorted((name, stored.group) for name, stored in checkpoint.layers.items())
    told = hashlib.sha256(repr(names).encode()).hexdigest()[:12]  # registries know operations by their names alone
    policy = {
        "sd_ops": SDOps(f"INT8_PRODUCTS_{told}").with_kv_operation(checkpoint.entries),
        "module_ops": (_replacing(checkpoint.layers, f"int8_products_{told}"),),
    }
    if "fuse_rule" in {field.name for field in fields(QuantizationPolicy)}:  # 1.0.0's fuse_loras asks for the dtype
        policy["fuse_rule"] = fuse_loras.FuseRule(aggregation_dtype=torch.bfloat16, fuse_fn=_fuse)
    return QuantizationPolicy(**policy)


def with_integer_products(model: torch.nn.Module, layers: Mapping[str, Stored]) -> torch.nn.Module:
    """Return `model` with these linear layers in integers, on the device where it is, to be loaded.

    Raises: ValueError for a layer that the model does not have.
    """
    linear = linear_layers(model)
    if missing := sorted(layers.keys() - linear.keys()):
        raise ValueError(f"the checkpoint holds integers of layers that the model lacks: {', '.join(missing[:3])}")
    for name, module in list(model.named_modules()):
        if isinstance(module, FeedForward) and f"{name}.net.2" in layers:
            module.net[0] = WithoutGelu(module.net[0].proj)
    for name, stored in layers.items():
        model.set_submodule(name, Int8Linear(linear[name], stored.group, after_gelu=name.endswith("ff.net.2")))
    return model


def _replacing(layers: Mapping[str, Stored], name: str) -> ModuleOps:
    return ModuleOps(
        name=name,
        matcher=lambda model: isinstance(model, LTXModel),
        mutator=lambda model: with_integer_products(model, layers),
    )


def _fuse(key: str, weight: torch.Tensor, deltas: torch.Tensor, state: StateDict) -> dict[str, torch.Tensor]:
    if weight.dtype is not torch.int8:
        return fuse_loras.bf16_fuse_rule(key, weight, deltas, state)
    return fused(key, weight, deltas, state)
