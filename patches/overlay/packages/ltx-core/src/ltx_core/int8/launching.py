"""Rows and products where they are asked for: by the kernels on a card, in plain torch elsewhere."""

from __future__ import annotations

import importlib.util

import torch

from ltx_core.int8 import product
from ltx_core.int8.rows import Rows, quantize_rows
from ltx_core.int8.tiles import LOWEST

_TRITON = importlib.util.find_spec("triton") is not None
if _TRITON and torch.cuda.is_available():  # what compiles a block finds the operators made
    from ltx_core.int8 import operators


def why_not(device: torch.device) -> str | None:
    """Return why int8 products can't run on `device`, as a sentence that names what to take; None where they can."""
    if device.type != "cuda":
        return None
    if torch.version.hip is not None:
        return "int8 products are written for NVIDIA cards; use --quantization fp8-cast on this one"
    if not _TRITON:
        return "int8 products need the package triton on a card; install it, or use --quantization fp8-cast"
    capability = torch.cuda.get_device_capability(device)
    if capability < LOWEST:
        asked, least = (".".join(map(str, one)) for one in (capability, LOWEST))
        name = torch.cuda.get_device_name(device)
        return f"int8 products need compute capability {least}, and {name} has {asked}; use --quantization fp8-cast"
    return None


def rows_of(x: torch.Tensor, group: int | None, gelu: bool = False) -> Rows:
    """Return `x` (..., K) as codes and scales, as `rows.quantize_rows` does."""
    if x.is_cuda:
        return operators.rows_of(x, group, gelu)
    return quantize_rows(x, group=group, gelu=gelu)


def multiplied(rows: Rows, weight: Rows, bias: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """Return rows (..., K) times weight (N, K) transposed plus bias (N,), in `dtype`."""
    if rows.codes.is_cuda:
        return operators.multiplied(rows, weight, bias, dtype)
    return product.product(rows, weight, bias, dtype)
