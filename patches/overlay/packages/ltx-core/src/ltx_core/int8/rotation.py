"""The rotation: a regular Hadamard matrix over each group of 256 channels.

Regular: every row sums to the same (ConvRot, arXiv 2512.03673), where Sylvester's matrix has a row of ones that makes
an outlier of its own. Symmetric and orthogonal, so the rotation undoes itself, and a product of two rotated operands
is the product of the two. Its entries are +-1/16, exact in bf16.
"""

from itertools import accumulate

import torch

GROUP = 256
"""Channels. Four Kronecker powers of `_H4`; divides every input width of the blocks of LTX-2 (2048 to 16384)."""

_H4 = torch.tensor(((1, 1, 1, -1), (1, 1, -1, 1), (1, -1, 1, 1), (-1, 1, 1, 1)), dtype=torch.float32) / 2
_MATRICES = dict(zip((4, 16, 64, 256, 1024), accumulate([_H4] * 5, torch.kron), strict=True))


def hadamard(group: int = GROUP) -> torch.Tensor:
    """Return the matrix (group, group), float32, on the CPU; not to be written to.

    Raises: ValueError where `group` is no power of 4, or above 1024.
    """
    if group not in _MATRICES:
        raise ValueError(f"a rotation is over 4, 16, 64, 256 or 1024 channels, not {group}")
    return _MATRICES[group]


def rotated(x: torch.Tensor, group: int = GROUP) -> torch.Tensor:
    """Return `x` (..., K) with each group of channels rotated, float32. `group` divides K.

    Products are exact and sums in float32, so that a second rotation gives `x` back but for their rounding.
    """
    groups = x.to(torch.float32).unflatten(-1, (-1, group))
    return (groups @ hadamard(group).to(x.device)).flatten(-2)
