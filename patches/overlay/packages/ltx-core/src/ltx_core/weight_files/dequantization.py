"""Values of stored codes and their scales. Each is exact but for one rounding to float32.

Exact: codes are integers or short floats, which float32 multiplies and sums without rounding; the scale that is no
power of two comes last.
"""

import torch

from ltx_core.int8.rotation import rotated
from ltx_core.weight_files import e2m1, e8m0
from ltx_core.weight_files.swizzle import unswizzled
from ltx_core.weight_files.weights import Int8Codes

MXFP8_BLOCK = 32
NVFP4_BLOCK = 16


def scaled_values(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return the values of float8 codes (N, ...), float32; `scales` is one number or one a row, in any shape."""
    return codes.to(torch.float32).mul_(_by_row(scales, codes))


def int8_values(weight: Int8Codes) -> torch.Tensor:
    """Return the values (N, K), float32, not rotated any more: the rotation undoes itself."""
    codes = weight.codes.to(torch.float32)
    values = codes if weight.group_size is None else rotated(codes, weight.group_size)
    return values.mul_(weight.scales.unsqueeze(-1))


def mxfp8_values(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return the values (N, K), float32, of float8 codes (N, K) and swizzled powers of two, a byte for each 32 of K."""
    rows, columns = codes.shape
    powers = e8m0.powers(unswizzled(scales, rows, columns // MXFP8_BLOCK))
    return codes.to(torch.float32).unflatten(1, (-1, MXFP8_BLOCK)).mul_(powers.unsqueeze(-1)).flatten(1)


def nvfp4_values(codes: torch.Tensor, block_scales: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the values (N, K), float32, of packed codes, uint8 (N, K / 2).

    `block_scales` are float8_e4m3fn and swizzled, one for each 16 of K; `scale` is one number for all.
    """
    values = e2m1.unpacked(codes)
    rows, columns = values.shape
    blocks = unswizzled(block_scales.view(torch.uint8), rows, columns // NVFP4_BLOCK).view(torch.float8_e4m3fn)
    by_block = values.unflatten(1, (-1, NVFP4_BLOCK)).mul_(blocks.to(torch.float32).unsqueeze(-1))
    return by_block.flatten(1).mul_(scale.to(torch.float32).reshape(()))


def _by_row(scales: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    scales = scales.to(torch.float32)
    return scales.reshape(()) if scales.numel() == 1 else scales.reshape(-1, *[1] * (codes.ndim - 1))
