"""Random weights that keep signals at their scale, the same on every machine."""

import hashlib
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from ltx2_patcher.values.errors import OutsideError
from verify.synthetic.tensorfile import Shapes, bytes_of, of_dtype, write_tensors

# Norms, by any of their names, and what Gemma 4 multiplies the result of a layer by.
_SCALE = re.compile(r"(norm.*|_ln\d)\.weight$|\.layer_scalar$")


def write_weights(
    path: Path,
    shapes: Shapes,
    dtype: torch.dtype,
    metadata: Mapping[str, str],
    seed: int,
    *,
    drawn_as: str = "",
    device: str = "cpu",
) -> None:
    """A new file `path` holds a `weight` of each of `shapes`; one is in memory at a time.

    `drawn_as` stands before the names that tell the weights, and not in the file. On a GPU they are
    drawn in a hundredth of the time, and are others than on the CPU.
    Raises: OutsideError (space), OSError.
    """
    kinds = of_dtype(shapes, dtype)
    needed, free = bytes_of(kinds), shutil.disk_usage(path.parent).free
    if needed >= free:
        raise OutsideError(
            f"{path.parent} has {free >> 20} MiB free and {path.name} takes "
            f"{(needed >> 20) + 1} MiB",
            remedy="free some space, or name a folder on another disk",
        )

    def draw(name: str) -> torch.Tensor:
        return weight(drawn_as + name, shapes[name], dtype=dtype, seed=seed, device=device).cpu()

    write_tensors(path, kinds, metadata, draw)


def weight(
    name: str, shape: tuple[int, ...], *, dtype: torch.dtype, seed: int, device: str = "cpu"
) -> torch.Tensor:
    """The tensor `name` of a file set: shape `shape`, told by `name`, `seed` and `device` alone.

    Linear and convolution weights are scaled by their fan-in, norms and scales lie around 1, biases
    and the logarithmic `alpha` and `beta` of snake activations around 0, filters are averages, and
    the statistics of latents change nothing.
    """
    if name.endswith("mean-of-means"):
        return torch.zeros(shape, dtype=dtype)
    if name.endswith("std-of-means"):
        return torch.ones(shape, dtype=dtype)
    if name.endswith((".filter", ".kernel")):
        return torch.full(shape, 1 / math.prod(shape), dtype=dtype)
    noise = _noise(shape, f"{seed}:{name}", device)
    if len(shape) > 1:
        return noise.div_(math.sqrt(math.prod(shape[1:]))).to(dtype)
    center = 1.0 if _SCALE.search(name) else 0.0
    return noise.mul_(0.05).add_(center).to(dtype)


def _noise(shape: tuple[int, ...], key: str, device: str) -> torch.Tensor:
    """Near-normal values of mean 0 and deviation 1, float32.

    A sum of four uniform variates: exact in float32, where `randn` goes through logarithms and
    cosines that differ between processors in the last bit.
    """
    generator = torch.Generator(device).manual_seed(
        int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
    )
    total = torch.rand(shape, generator=generator, device=device)
    for _ in range(3):
        total.add_(torch.rand(shape, generator=generator, device=device))
    return total.sub_(2).mul_(math.sqrt(3))
