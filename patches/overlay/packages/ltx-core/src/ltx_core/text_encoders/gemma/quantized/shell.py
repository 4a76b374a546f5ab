"""The model without weights: what it expects of the shards, and its quantized layers in place."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ltx_core.loader.module_ops import ModuleOps
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.mode import Mode
from ltx_core.text_encoders.gemma.quantized.plan import Plan, QuantizedLayer, Treatment

# Safetensors' spelling of the dtypes that 4-bit weights may be packed into (transformers' bnb_4bit_quant_storage).
_STORAGE_DTYPES = {
    "U8": torch.uint8,
    "I8": torch.int8,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_OTHER_GEMMA = "use the Gemma that this version of LTX-2 is made for, with all of its shards"


@dataclass(frozen=True)
class Blank:
    """What a model without weights wants filled, and its Linears."""

    tensors: Mapping[str, torch.Size]  # parameters, a tied `lm_head` not named twice, and persistent buffers
    linears: frozenset[str]

    @classmethod
    def of(cls, shell: torch.nn.Module, spelling: Callable[[str], str] = str) -> "Blank":
        return cls(
            {spelling(name): tensor.shape for name, tensor in _to_fill(shell)},
            frozenset(spelling(name) for name, module in shell.named_modules() if isinstance(module, torch.nn.Linear)),
        )


def require_weights(blank: Blank, plan: Plan, root: str) -> None:
    """Each parameter and persistent buffer has its tensor in the plan, in its shape, and only Linears are quantized.

    Raises: GemmaRootError.
    """
    layers = {layer.target: layer for layer in plan.layers}
    planned = {tensor.target: tensor for tensor in plan.tensors if tensor.treatment is not Treatment.UNUSED}
    if missing := [name for name in blank.tensors if name not in planned]:
        raise GemmaRootError(f"{root} lacks {_some(missing)}", _OTHER_GEMMA)
    for name, shape in blank.tensors.items():
        layer = layers.get(name.rpartition(".")[0]) if name.endswith(".weight") else None
        stored = planned[name].stored
        if layer is None:
            fits = shape == stored.shape
        else:
            fits = layer.nbytes == (-(shape.numel() // -2) if layer.mode is Mode.NF4 else shape.numel())
        if not fits:
            raise GemmaRootError(
                f"{stored.name} in {stored.file} is {stored.shape} where the model has {tuple(shape)}",
                _OTHER_GEMMA,
            )
    if strangers := [name for name in layers if name not in blank.linears]:
        raise GemmaRootError(f"{root} has quantized layers that the model lacks: {_some(strangers)}", _OTHER_GEMMA)


def swap_layers(layers: tuple[QuantizedLayer, ...]) -> ModuleOps:
    """The module op that puts quantized layers, on the meta device, in the place of the Linears they name.

    Its name tells one set of layers from another, for registries that keep shells by the names of their ops. After
    each load, `lm_head` shares the embedding's parameter, and a parameter that got no weight is an error.
    """

    def swap(shell: torch.nn.Module) -> torch.nn.Module:
        for layer in layers:
            parent, _, child = layer.target.rpartition(".")
            linear = shell.get_submodule(layer.target)
            assert isinstance(linear, torch.nn.Linear), layer.target
            setattr(shell.get_submodule(parent), child, _quantized(linear, layer))
        shell.register_load_state_dict_post_hook(_finish)
        return shell

    matcher: Callable[[torch.nn.Module], bool] = lambda module: hasattr(module, "model")  # noqa: E731
    digest = hashlib.sha256(repr(layers).encode()).hexdigest()
    return ModuleOps(f"GemmaQuantization({digest[:16]})", matcher=matcher, mutator=swap)


def _quantized(linear: torch.nn.Linear, layer: QuantizedLayer) -> torch.nn.Module:
    from ltx_core.text_encoders.gemma.quantized.layers import Linear4bit, Linear8bit  # noqa: PLC0415 - bitsandbytes

    bias = linear.bias is not None
    if layer.mode is Mode.INT8:
        return Linear8bit(linear.in_features, linear.out_features, bias=bias)
    return Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=bias,
        packed_shape=layer.stored_shape,
        packed_dtype=_STORAGE_DTYPES[layer.stored_dtype],
        quant_type=layer.quant_type,
    )


def _finish(shell: torch.nn.Module, incompatible_keys: Any) -> None:  # noqa: ANN401, ARG001
    language_model = shell.model
    language_model.get_output_embeddings().weight = language_model.get_input_embeddings().weight
    if empty := [name for name, tensor in _to_fill(shell) if tensor.is_meta]:
        raise GemmaRootError(f"no weights were loaded for {_some(empty)}", _OTHER_GEMMA)


def _to_fill(shell: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters, each once, and the buffers that a state dict holds (Gemma 4's `layer_scalar`)."""
    yield from shell.named_parameters()
    persistent = shell.state_dict().keys()
    yield from ((name, buffer) for name, buffer in shell.named_buffers() if name in persistent)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
