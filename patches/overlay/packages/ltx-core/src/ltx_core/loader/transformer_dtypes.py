"""Reading a transformer whose weights are stored as float16, float32 or float8_e5m2, where pipelines compute in bf16.

Upstream casts what it loads to bf16 in some bases and in some runs only. Elsewhere such a file ends with weights that
no LoRA can be fused into, or that no activation in bf16 can be multiplied by.
"""

from collections.abc import Iterable
from dataclasses import fields
from functools import cache

import safetensors
import torch

from ltx_core.loader.sd_ops import KeyValueOperationResult, SDOps

_LAYER = "model.diffusion_model.transformer_blocks.0.attn1.to_q.weight"  # every LTX-2 transformer has it
_STORED = {"F16", "F32", "F8_E5M2"}
_CAST = {torch.float16, torch.float32, torch.float8_e5m2}


def in_bf16(sd_ops: SDOps | None, paths: str | Iterable[str]) -> SDOps | None:
    """Return `sd_ops` that give the transformer in these files in bf16, but for what they quantize.
    `sd_ops` itself where they read no transformer, or one whose linear layers are stored in another dtype: a file of
    bf16 may hold a float32 tensor, and loads as it always did. Of the files only headers are read here. The name stays,
    by which a registry knows what was loaded.
    """
    if sd_ops is None or sd_ops.apply_to_key(_LAYER) is None:
        return sd_ops
    if any(_dtype_of_layer(path) in _STORED for path in ([paths] if isinstance(paths, str) else paths)):
        return _casting(type(sd_ops))(**{field.name: getattr(sd_ops, field.name) for field in fields(sd_ops)})
    return sd_ops


@cache
def _casting(kind: type[SDOps]) -> type[SDOps]:
    """Return the same operations, and bf16 for what they leave in another dtype, but for scales."""

    def apply_to_key_value(self: SDOps, key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        results = kind.apply_to_key_value(self, key, value)
        return [
            KeyValueOperationResult(k, v.to(torch.bfloat16) if v.dtype in _CAST and not k.endswith("_scale") else v)
            for k, v in results
        ]

    return type(f"{kind.__name__}InBf16", (kind,), {"__slots__": (), "apply_to_key_value": apply_to_key_value})


def _dtype_of_layer(path: str) -> str | None:
    with safetensors.safe_open(path, framework="pt") as file:
        return file.get_slice(_LAYER).get_dtype() if _LAYER in file.keys() else None  # noqa: SIM118, it is no mapping
