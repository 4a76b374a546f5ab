"""The weight of a layer in a state dict: codes under its own name, the scales of its rows and its rotation beside."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from ltx_core.int8.rows import Rows, quantize_rows, values_of

if TYPE_CHECKING:  # the loader's LoRAs are fused here
    from ltx_core.loader.primitives import StateDict

_WEIGHT, _SCALE, _GROUP = ".weight", ".weight_scale", ".weight_group"
_CHUNK = 16 * 1024**2
"""Values of a weight that are quantized at once: 64 MiB of float32, a few times."""


def entries_of(name: str, weight: Rows, group: int | None) -> dict[str, torch.Tensor]:
    """Return what a state dict holds of the layer `name`. No model has a place for the rotation; fusing asks for it."""
    stated = torch.tensor(0 if group is None else group, dtype=torch.int32)
    return {name + _WEIGHT: weight.codes, name + _SCALE: weight.scales, name + _GROUP: stated}


def quantized(weight: torch.Tensor, group: int | None) -> Rows:
    """Return a weight (N, K) of any float dtype as rows, rotated by groups of so many channels.

    Where there is a card it is done there, part by part, and what comes of it lies where `weight` did.
    """
    on_host = weight.device.type == "cpu"
    there = torch.device("cuda") if on_host and torch.cuda.is_available() else weight.device
    return _by_parts(weight, lambda rows: quantize_rows(weight[rows].to(there), group=group))


def fused(key: str, weight: torch.Tensor, deltas: torch.Tensor, state: "StateDict") -> dict[str, torch.Tensor]:
    """Return the entries that replace those of the weight `key`, int8 (N, K), once `deltas` (N, K) are added to it."""
    name = key.removesuffix(_WEIGHT)
    scales = state.sd[name + _SCALE].to(weight.device)
    group = int(state.sd[name + _GROUP]) or None

    def added(rows: slice) -> Rows:
        values = values_of(Rows(weight[rows], scales[rows]), group=group)
        return quantize_rows(values + deltas[rows].to(torch.float32), group=group)

    together = _by_parts(weight, added)
    return {key: together.codes, name + _SCALE: together.scales}


def _by_parts(weight: torch.Tensor, part: Callable[[slice], Rows]) -> Rows:
    """Return the rows that `part` gives for each range of rows, put together on the device of `weight` (N, K)."""
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scales = torch.empty(weight.shape[0], dtype=torch.float32, device=weight.device)
    for rows in _ranges(weight.shape[0], max(_CHUNK // weight.shape[1], 1)):
        codes[rows], scales[rows] = part(rows)
    return Rows(codes, scales)


def _ranges(rows: int, most: int) -> Iterator[slice]:
    return (slice(begin, begin + most) for begin in range(0, rows, most))
