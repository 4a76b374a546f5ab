"""A linear layer whose weight is 8-bit integers, and what lets layers share or save a pass over activations."""

from typing import NamedTuple

import torch

from ltx_core.int8.launching import multiplied, rows_of
from ltx_core.int8.rows import Rows


class Given(NamedTuple):
    """Activations as rows, made once for the layers that are given the same."""

    rows: Rows
    dtype: torch.dtype  # of the activations, and so of what layers return


class Int8Linear(torch.nn.Module):
    """x (..., K) -> (..., N), as a linear layer, by a product of 8-bit integers.

    Its state is a linear layer's, with `weight` as codes, int8 (N, K), and `weight_scale`, float32 (N,), beside it.
    """

    def __init__(self, linear: torch.nn.Linear, group: int | None, *, after_gelu: bool = False) -> None:
        """In place of `linear`, with tensors of its shapes on its device, to be loaded.

        Channels are rotated by groups of so many. With `after_gelu` what it is given first goes through GELU.
        """
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.group, self.after_gelu = group, after_gelu
        device = linear.weight.device
        self.weight = _fixed(torch.empty(linear.weight.shape, dtype=torch.int8, device=device))
        self.weight_scale = _fixed(torch.empty(linear.out_features, dtype=torch.float32, device=device))
        self.register_parameter("bias", linear.bias)

    def rows(self, x: torch.Tensor) -> Given:
        """Return activations (..., K) as it multiplies them."""
        return Given(rows_of(x, group=self.group, gelu=self.after_gelu), x.dtype)

    def forward(self, x: torch.Tensor | Given) -> torch.Tensor:
        given = self.rows(x) if isinstance(x, torch.Tensor) else x
        held = self._parameters  # attributes of a module take half a microsecond each
        return multiplied(given.rows, Rows(held["weight"], held["weight_scale"]), held["bias"], given.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, group={self.group}, after_gelu={self.after_gelu}"


class WithoutGelu(torch.nn.Module):
    """An up projection whose GELU is left to the layer after it, which passes over its outputs anyway."""

    def __init__(self, proj: torch.nn.Module) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)


def shared_rows(
    attention: torch.nn.Module, x: torch.Tensor, context: torch.Tensor
) -> tuple[torch.Tensor | Given, torch.Tensor | Given]:
    """Return what the projections of an attention are given in place of `x` and `context`: themselves, or, where they
    are multiplied as integers, rows that k and v share, and q too in self-attention.
    """
    projections = (attention.to_q, attention.to_k, attention.to_v)
    if not all(isinstance(layer, Int8Linear) for layer in projections):
        return x, context
    to_q, to_k, to_v = projections
    if to_k.group != to_v.group:
        return x, context
    rows = to_v.rows(context)
    return (rows if x is context and to_q.group == to_v.group else x), rows


def _fixed(tensor: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor, requires_grad=False)
