"""The model on the meta device: what the shards must fill, and the quantized layers put into it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from ltx_core.loader.module_ops import ModuleOps
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.plan import Plan, QuantizedLayer, Treatment

_OTHER_GEMMA = "use the Gemma that this version of LTX-2 is made for, with all of its shards"


@dataclass(frozen=True)
class Slots:
    """What a model without weights must be given, and its Linears."""

    tensors: Mapping[str, torch.Size]  # parameters, a tied `lm_head` not named twice, and persistent buffers
    linears: frozenset[str]

    @classmethod
    def of(cls, model: torch.nn.Module, renamed: Callable[[str], str] = str) -> "Slots":
        return cls(
            {renamed(name): tensor.shape for name, tensor in _to_fill(model)},
            frozenset(renamed(name) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)),
        )


def require_weights(slots: Slots, plan: Plan, root: str) -> None:
    """Each parameter and persistent buffer has its tensor in the plan, in its shape, and only Linears are quantized.

    Raises: GemmaRootError.
    """
    layers = {layer.target: layer for layer in plan.layers}
    planned = {tensor.target: tensor for tensor in plan.tensors if tensor.treatment is not Treatment.UNUSED}
    if missing := [name for name in slots.tensors if name not in planned]:
        raise GemmaRootError(f"{root} lacks {_some(missing)}", _OTHER_GEMMA)
    for name, shape in slots.tensors.items():
        layer = layers.get(name.rpartition(".")[0]) if name.endswith(".weight") else None
        stored = planned[name].stored
        fits = shape == stored.shape if layer is None else layer.weight.nbytes == layer.method.packed(shape).nbytes
        if not fits:
            raise GemmaRootError(
                f"{stored.name} in {stored.file} is {stored.shape} where the model has {tuple(shape)}",
                _OTHER_GEMMA,
            )
    if strangers := [name for name in layers if name not in slots.linears]:
        raise GemmaRootError(f"{root} has quantized layers that the model lacks: {_some(strangers)}", _OTHER_GEMMA)


def swap_layers(layers: tuple[QuantizedLayer, ...]) -> ModuleOps:
    """The module op that puts quantized layers, on the meta device, in the place of the Linears they name.

    Its name tells one set of layers from another, for registries that keep meta models by the names of their ops. After
    each load, `lm_head` shares the embedding's parameter, and a parameter that got no weight is an error.
    """

    def swap(model: torch.nn.Module) -> torch.nn.Module:
        for layer in layers:
            parent, _, child = layer.target.rpartition(".")
            linear = model.get_submodule(layer.target)
            assert isinstance(linear, torch.nn.Linear), layer.target
            setattr(model.get_submodule(parent), child, layer.method.layer(linear, layer.weight))
        model.register_load_state_dict_post_hook(_finish)
        return model

    def holds_gemma(model: torch.nn.Module) -> bool:
        return hasattr(model, "model")

    digest = hashlib.sha256(repr(layers).encode()).hexdigest()
    return ModuleOps(f"GemmaQuantization({digest[:16]})", matcher=holds_gemma, mutator=swap)


def _finish(model: torch.nn.Module, _incompatible_keys: object) -> None:
    language_model = model.model
    language_model.get_output_embeddings().weight = language_model.get_input_embeddings().weight
    if empty := [name for name, tensor in _to_fill(model) if tensor.is_meta]:
        raise GemmaRootError(f"no weights were loaded for {_some(empty)}", _OTHER_GEMMA)


def _to_fill(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters, each once, and the buffers that a state dict holds (Gemma 4's `layer_scalar`)."""
    yield from model.named_parameters()
    persistent = model.state_dict().keys()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in persistent)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
