"""Floats of 4 bits: a sign, 2 bits of exponent and 1 of mantissa (OCP Microscaling Formats 1.0, E2M1)."""

import torch

_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_VALUES = torch.tensor((*_MAGNITUDES, *(-magnitude for magnitude in _MAGNITUDES)))  # by code, its sign bit in front


def unpacked(codes: torch.Tensor) -> torch.Tensor:
    """Return the values (..., 2 K), float32, of packed codes, uint8 (..., K): a byte's high half comes first.

    So ComfyUI packs them (comfy-kitchen 0.2.31, backends/eager/quantization.py, `hi_first`), and upstream's nvfp4 too.
    """
    halves = torch.stack((codes >> 4, codes & 0x0F), dim=-1).flatten(-2)
    return _VALUES[halves.int()]
