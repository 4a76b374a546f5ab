"""Random weights that keep signals at their scale, the same on every machine."""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ltx2_patcher.values.errors import OutsideError
from verify.synthetic.tensorfile import Kind

PIECE = 1 << 24
"""Values drawn at a time: 64 MiB in float32, whatever the size of a tensor."""

LARGEST = 2 * math.sqrt(3)
"""No noise lies further from 0."""

# Norms, by any of their names, and what Gemma 4 multiplies the result of a layer by.
_SCALE = re.compile(r"(norm.*|_ln\d)\.weight$|\.layer_scalar$")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tensor told by its name, its shape, a seed and a kind of device alone.

    Linear and convolution weights are scaled by their fan-in, norms and scales lie around 1, biases
    and the logarithmic `alpha` and `beta` of snake activations around 0, filters are averages, and
    the statistics of latents change nothing.
    """

    name: str  # which may be another one than in the file
    kind: Kind
    scale: float = 1.0  # for float8: what the stored values are to be multiplied by

    def pieces(self, seed: int, device: str) -> Iterator[torch.Tensor]:
        """Its values, flat and in order, in pieces of at most `PIECE` on the CPU.

        They are drawn on `device`; a GPU draws others than the CPU, in a hundredth of the time.
        Raises: OutsideError (a GPU has no room, or does not answer).
        """
        values = math.prod(self.kind.shape)
        for number, start in enumerate(range(0, values, PIECE)):
            key = f"{seed}:{self.name}:{number}" if number else f"{seed}:{self.name}"
            try:
                yield self._piece(min(PIECE, values - start), key, device).cpu()
            except RuntimeError as error:
                if device == "cpu":
                    raise
                raise OutsideError(
                    f"{device} cannot draw weights: {str(error).splitlines()[0]}",
                    remedy="free its memory, or set CUDA_VISIBLE_DEVICES= to draw on the CPU",
                ) from error

    def _piece(self, count: int, key: str, device: str) -> torch.Tensor:
        values = self._values(count, key, device)
        if self.kind.dtype is not torch.float8_e4m3fn:
            return values.to(self.kind.dtype)
        # As a checkpoint in bf16 is quantized.
        return values.to(torch.bfloat16).float().div_(self.scale).to(self.kind.dtype)

    def _values(self, count: int, key: str, device: str) -> torch.Tensor:
        shape = self.kind.shape
        if self.name.endswith("mean-of-means"):
            return torch.zeros(count)
        if self.name.endswith("std-of-means"):
            return torch.ones(count)
        if self.name.endswith((".filter", ".kernel")):
            return torch.full((count,), 1 / math.prod(shape))
        noise = _noise(count, key, device)
        if len(shape) > 1:
            return noise.div_(math.sqrt(fan_in(shape)))
        return noise.mul_(0.05).add_(1.0 if _SCALE.search(self.name) else 0.0)


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """A small tensor that is what it is."""

    tensor: torch.Tensor

    @property
    def kind(self) -> Kind:
        """Its shape and dtype."""
        return Kind(tuple(self.tensor.shape), self.tensor.dtype)


def fan_in(shape: tuple[int, ...]) -> int:
    """How many values each output of a weight (out, in, ...) sums up."""
    return math.prod(shape[1:])


def _noise(count: int, key: str, device: str) -> torch.Tensor:
    """Near-normal values of mean 0 and deviation 1, float32, none beyond `LARGEST`.

    A sum of four uniform variates: exact in float32, where `randn` goes through logarithms and
    cosines that differ between processors in the last bit.
    """
    generator = torch.Generator(device).manual_seed(
        int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
    )
    total = torch.rand(count, generator=generator, device=device)
    for _ in range(3):
        total.add_(torch.rand(count, generator=generator, device=device))
    return total.sub_(2).mul_(math.sqrt(3))
