"""A row as 8-bit codes and one scale: what weights are stored as, and activations are multiplied as."""

from typing import NamedTuple

import torch

from ltx_core.int8.rotation import rotated

LARGEST = 127
"""The largest code; -128 is not used, so that a row and its negative have opposite codes."""

STEEPEST = 3e38
"""The most codes a unit: below 4e-37 a row is of smaller codes, for one over it is no float32."""


class Rows(NamedTuple):
    """Rows x (..., K), x ~ codes * scales."""

    codes: torch.Tensor  # int8 (..., K)
    scales: torch.Tensor  # float32 (...)


def quantize_rows(x: torch.Tensor, *, group: int | None, gelu: bool = False) -> Rows:
    """Return `x` (..., K) as rows: rotated by groups of so many channels, or as they are (None).

    With `gelu` they first go through GELU (tanh), as the up projection's outputs do, rounded to the dtype of `x`.
    A scale is the largest magnitude of its row over 127, and codes are rounded to even. A row of zeros has scale 0.
    One that holds an infinity or what is not a number has a scale that is not finite, and so has all that is
    multiplied with it, as in a product of floats.
    """
    if gelu:
        x = torch.nn.functional.gelu(x.to(torch.float32), approximate="tanh").to(x.dtype)
    values = x.to(torch.float32) if group is None else rotated(x, group)
    largest = values.abs().amax(dim=-1)
    # A number over a tensor is to torch that number times the inverse, which is rounded twice.
    steps = (torch.full_like(largest, LARGEST) / largest).clamp_(max=STEEPEST)
    codes = (values * steps.unsqueeze(-1)).nan_to_num(0.0).round_().clamp_(-LARGEST, LARGEST).to(torch.int8)
    return Rows(codes, largest / LARGEST)


def values_of(rows: Rows, *, group: int | None) -> torch.Tensor:
    """Return the values (..., K) that rows stand for, float32, not rotated any more."""
    values = rows.codes.to(torch.float32) * rows.scales.unsqueeze(-1)
    return values if group is None else rotated(values, group)
