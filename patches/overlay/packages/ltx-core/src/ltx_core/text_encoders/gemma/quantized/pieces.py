"""Tensors taken a bounded piece at a time, so that temporaries stay small beside the largest tensor on every device."""

from collections.abc import Iterator

import torch

# Values in a piece. On a CPU its float32 temporaries (512 KiB) must stay below the weights that are kept (2 MiB and
# more): glibc keeps for itself what is smaller than the largest block ever given back, so larger ones would stay in
# the process between the weights. On a GPU pieces are large enough that 1300 of them make up a 12B model.
_CPU_PIECE = 128 * 1024
_GPU_PIECE = 8 * 1024 * 1024


def piece_numel(device: torch.device) -> int:
    """How many values a device takes at a time."""
    return _CPU_PIECE if device.type == "cpu" else _GPU_PIECE


def pieces(tensor: torch.Tensor, length: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Views of `length` entries along the first dimension, each with the index of its first."""
    for start in range(0, len(tensor), length):
        yield start, tensor[start : start + length]


def to_bf16(piece: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The piece on `device`, rounded there to bfloat16."""
    return piece.to(device).to(torch.bfloat16)


def cast_to(weight: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A copy of `weight` in `dtype` on `device`, made piece by piece."""
    result = torch.empty(weight.shape, dtype=dtype, device=device)
    flat = result.view(-1)
    for start, piece in pieces(weight.reshape(-1), piece_numel(device)):
        flat[start : start + len(piece)].copy_(piece)
    return result
