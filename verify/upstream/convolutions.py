"""Convolutions in bf16 on a CPU that has no instructions for them.

Without AVX-512 or AMX torch adds their products one by one, 10 to 50 times slower than in float32
(torch 2.13, AVX2), which was half of a tiny clip's time.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

_KERNELS = ("slow_conv3d_forward", "_slow_conv2d_forward")  # of 1d too, and of each group


def round_from_float32() -> None:
    """From now on this process computes them in float32 and rounds the result to bf16.

    Where the CPU has the instructions, nothing changes: oneDNN does the same there.
    """
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001 - it has no public name
        return
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    _kept.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of each kernel that is replaced
        for name in _KERNELS:
            library.impl(name, _rounding(getattr(torch.ops.aten, name).output), "CPU")


_kept: list[Any] = []  # one that is collected takes its kernels along


def _rounding(stock: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The kernel; `stock` is for the other precisions, and for a single channel, where it is fast.

    It is torch's own in the form that writes to `output`, which is not replaced.
    """

    def convolve(
        images: torch.Tensor,
        weight: torch.Tensor,
        kernel_size: Sequence[int],
        bias: torch.Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
    ) -> torch.Tensor:
        if images.dtype is not torch.bfloat16 or weight.shape[1] == 1:
            empty = images.new_empty(0)
            return stock(images, weight, kernel_size, bias, stride, padding, output=empty)
        operands: list[Any] = [
            images.float(),
            weight.float(),
            None if bias is None else bias.float(),
        ]
        once = [1] * len(stride)  # each kernel's dilation
        exact: torch.Tensor = torch.ops.aten.mkldnn_convolution(*operands, padding, stride, once, 1)
        return exact.to(images.dtype)

    return convolve
