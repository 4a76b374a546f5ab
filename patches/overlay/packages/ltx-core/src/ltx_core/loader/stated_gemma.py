"""A Gemma root that is quantized already, built by a program of its own with upstream's builder and no word of ours.

Such a program hands the shards to a builder, as ltx-trainer's load_text_encoder does; that the weights are quantized
stands in the root's config.json alone.
"""

import copy
from pathlib import Path
from typing import TypeVar

import torch

BuilderT = TypeVar("BuilderT")  # upstream's SingleGPUModelBuilder of any base: a frozen dataclass, later a class


def as_its_root_states(builder: BuilderT, device: torch.device) -> BuilderT | None:
    """Return the builder of a Gemma with its root's quantization, to be built without a dtype.
    None for any other model, for a Gemma that is not quantized, and where the quantization is in already.
    Raises: GemmaRootError, BitsAndBytesUnavailable.
    """
    if builder.model_sd_ops is None or not builder.model_sd_ops.name.startswith("GEMMA"):
        return None
    from ltx_core.text_encoders.gemma.quantized.loader import QuantizingLoader  # noqa: PLC0415 - it imports loader/
    from ltx_core.text_encoders.gemma.quantized.quantization import quantization_of  # noqa: PLC0415 - as above

    if isinstance(builder.model_loader, QuantizingLoader):
        return None
    path = builder.model_path
    shard = Path(path if isinstance(path, str) else path[0])
    root = shard.parent if (shard.parent / "config.json").exists() else shard  # a packed file brings its own config
    quantization = quantization_of(str(root), device, builder.model_sd_ops, None)
    if quantization is None:
        return None
    config = builder.model_metadata() if hasattr(builder, "model_metadata") else builder.model_config()
    quantization.check(builder.meta_model(config, ()))
    return _with(
        builder,
        model_path=quantization.model_path,
        model_sd_ops=quantization.model_sd_ops,
        model_loader=quantization.model_loader,
        module_ops=(*builder.module_ops, *quantization.module_ops),
    )


def _with(builder: BuilderT, **changed: object) -> BuilderT:
    clone = copy.copy(builder)
    for name, value in changed.items():
        object.__setattr__(clone, name if name in vars(builder) else f"_{name}", value)
    return clone
