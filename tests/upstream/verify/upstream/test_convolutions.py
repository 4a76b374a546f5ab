"""Convolutions in bf16, as the process of upstream's scripts computes them on any CPU."""

import subprocess
import sys

from tests.trees import ROOT

_PROGRAM = """
import torch
from torch.nn import functional
from verify.upstream.convolutions import round_from_float32

round_from_float32()
random = torch.Generator().manual_seed(0)
for kind, channels, kernel, stride, padding, groups in (
    ("conv3d", 4, 3, 1, 0, 1),
    ("conv3d", 32, 1, 1, 0, 1),
    ("conv3d", 16, 3, 2, 1, 1),
    ("conv2d", 16, 3, 1, 1, 1),
    ("conv2d", 12, 3, 1, 1, 3),
    ("conv1d", 16, 5, 2, 2, 1),
    ("conv1d", 6, 5, 1, 2, 6),
):
    convolve, dims = getattr(functional, kind), int(kind[-2])
    images = torch.randn(2, channels, *[9] * dims, generator=random).bfloat16()
    weight = torch.randn(6, channels // groups, *[kernel] * dims, generator=random).bfloat16()
    bias = torch.randn(6, generator=random).bfloat16()
    given = convolve(images, weight, bias, stride, padding, 1, groups)
    exact = convolve(images.double(), weight.double(), bias.double(), stride, padding, 1, groups)
    torch.testing.assert_close(given, exact.bfloat16(), rtol=2**-7, atol=1e-3)
ones = torch.ones(1, 1, 3, 3, 3)
assert functional.conv3d(ones, ones).dtype is torch.float32
"""


def test_are_exact_but_for_one_rounding_and_warn_of_nothing() -> None:
    """In a process of its own: what it changes is the process's torch."""
    program = [sys.executable, "-W", "error", "-c", _PROGRAM]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
