"""The product of rows with a weight of rows, in plain torch: what the kernels are held to."""

import torch

from ltx_core.int8.rows import Rows

_EXACT = 1024
"""Terms. So many products of two codes are below 2^24, and add up in float32 without rounding."""


def accumulated(codes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return codes (M, K) times weight (N, K) transposed: int8 each, int32 (M, N), exact.

    Float products of up to 1,024 terms are exact, and many times faster than integer ones on a CPU.
    """
    total = torch.zeros(codes.shape[0], weight.shape[0], dtype=torch.int32, device=codes.device)
    for left, right in zip(codes.split(_EXACT, dim=1), weight.split(_EXACT, dim=1), strict=True):
        total += (left.to(torch.float32) @ right.to(torch.float32).T).to(torch.int32)
    return total


def product(rows: Rows, weight: Rows, bias: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """Return rows (..., K) times weight (N, K) transposed plus bias (N,), in `dtype`, rounded once from float32."""
    codes = rows.codes.flatten(0, -2)
    values = accumulated(codes, weight.codes).to(torch.float32) * rows.scales.reshape(-1, 1) * weight.scales
    if bias is not None:
        values = values + bias.to(torch.float32)
    return values.to(dtype).unflatten(0, rows.codes.shape[:-1])
