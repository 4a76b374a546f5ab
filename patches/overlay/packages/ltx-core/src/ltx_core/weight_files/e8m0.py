"""Powers of two in a byte each: 2 ** (byte - 127), 255 is no number (OCP Microscaling Formats 1.0, E8M0)."""

import math

import torch

_BIAS = 127
_VALUES = torch.tensor([*(2.0 ** (byte - _BIAS) for byte in range(255)), math.nan])


def powers(codes: torch.Tensor) -> torch.Tensor:
    """Return what bytes, uint8 of any shape, stand for, float32."""
    return _VALUES[codes.int()]
