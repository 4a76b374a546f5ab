"""Layers made up in each layout, with the values that they stand for in float64.

Everything here is worked out from the formats' own definitions, element by element, so that a
reader is held to something that is not its own arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class MadeLayer:
    """Tensors of one layer by the end of their names, and what its weight stands for."""

    tensors: Mapping[str, torch.Tensor]
    values: Values
    marker: Mapping[str, object] | None = None
    codes: tuple[torch.Tensor, torch.Tensor, int | None] | None = field(default=None, repr=False)

    def named(self, layer: str) -> dict[str, torch.Tensor]:
        """The tensors by their whole names, the marker among them."""
        named = {f"{layer}.{end}": tensor for end, tensor in self.tensors.items()}
        if self.marker is not None:
            named[f"{layer}.comfy_quant"] = as_bytes(json.dumps(self.marker).encode())
        return named


def as_bytes(data: bytes) -> torch.Tensor:
    return torch.tensor(list(data), dtype=torch.uint8)


def e2m1_value(code: int) -> float:
    """OCP Microscaling Formats 1.0, table of FP4 E2M1: bias 1, subnormal 0.5."""
    sign, exponent, mantissa = code >> 3, code >> 1 & 3, code & 1
    magnitude = mantissa / 2 if exponent == 0 else 2.0 ** (exponent - 1) * (1 + mantissa / 2)
    return -magnitude if sign else magnitude


def e4m3_value(byte: int) -> float:
    """OCP 8-bit Floating Point 1.0, E4M3: bias 7, no infinities, 0x7f is no number."""
    sign, exponent, mantissa = byte >> 7, byte >> 3 & 15, byte & 7
    magnitude = (
        mantissa / 8 * 2.0**-6 if exponent == 0 else 2.0 ** (exponent - 7) * (1 + mantissa / 8)
    )
    return -magnitude if sign else magnitude


E2M1 = np.array([e2m1_value(code) for code in range(16)])
E4M3 = np.array([e4m3_value(byte) for byte in range(256)])


@cache
def regular_hadamard(size: int) -> Values:
    """The entry in row i and column j: the product over the base-4 digits of both."""
    four = np.array([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]])
    matrix = np.ones((size, size))
    for i in range(size):
        for j in range(size):
            a, b = i, j
            for _ in range(round(np.log(size) / np.log(4))):
                matrix[i, j] *= four[a % 4, b % 4]
                a, b = a // 4, b // 4
    normalised: Values = matrix / np.sqrt(size)
    return normalised


def swizzled(scales: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> torch.Tensor:
    """cuBLAS' layout of block scales, one element at a time; padded with zeros to whole tiles."""
    rows, columns = scales.shape
    tiles_down, tiles_across = -(-rows // 128), -(-columns // 4)
    out = np.zeros(tiles_down * tiles_across * 512, dtype=np.uint8)
    for r in range(rows):
        for c in range(columns):
            tile = (r // 128) * tiles_across + c // 4
            out[tile * 512 + r % 32 * 16 + r % 128 // 32 * 4 + c % 4] = scales[r, c]
    return torch.from_numpy(out.reshape(tiles_down * 128, tiles_across * 4))


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def fp8_scaled(
    rows: int, columns: int, seed: int, scale_shape: tuple[int, ...] = (), marked: bool = True
) -> MadeLayer:
    random = _random(seed)
    codes = _e4m3_bytes(random, (rows, columns))
    scales = random.uniform(1e-4, 1e-2, scale_shape).astype(np.float32)
    tensors = {
        "weight": torch.from_numpy(codes).view(torch.float8_e4m3fn),
        "weight_scale": torch.from_numpy(np.array(scales)),
    }
    factors = np.broadcast_to(scales.astype(np.float64).reshape(-1, 1), (rows, 1))
    return MadeLayer(
        tensors, E4M3[codes] * factors, {"format": "float8_e4m3fn"} if marked else None
    )


def int8(
    rows: int,
    columns: int,
    seed: int,
    scale_shape: tuple[int, ...] = (),
    group: int | None = None,
    marker: Mapping[str, object] | None = None,
) -> MadeLayer:
    random = _random(seed)
    codes = random.integers(-127, 128, (rows, columns), dtype=np.int8)
    scales = np.array(random.uniform(1e-4, 1e-2, scale_shape), dtype=np.float32)
    by_row = np.broadcast_to(scales.reshape(-1), (rows,))
    values = codes.astype(np.float64)
    if group is not None:
        hadamard = regular_hadamard(group)
        groups = [values[:, at : at + group] @ hadamard for at in range(0, columns, group)]
        values = np.concatenate(groups, axis=1)
    rotation = {} if group is None else {"convrot": True, "convrot_groupsize": group}
    return MadeLayer(
        {"weight": torch.from_numpy(codes), "weight_scale": torch.from_numpy(scales)},
        values * by_row.astype(np.float64)[:, None],
        marker or {"format": "int8_tensorwise", **rotation},
        (torch.from_numpy(codes), torch.from_numpy(by_row.copy()), group),
    )


def mxfp8(rows: int, columns: int, seed: int, dtype: torch.dtype = torch.uint8) -> MadeLayer:
    random = _random(seed)
    codes = _e4m3_bytes(random, (rows, columns))
    powers = random.integers(100, 128, (rows, columns // 32), dtype=np.uint8)
    factors = np.repeat(2.0 ** (powers.astype(np.float64) - 127), 32, axis=1)
    tensors = {
        "weight": torch.from_numpy(codes).view(torch.float8_e4m3fn),
        "weight_scale": swizzled(powers).view(dtype),
    }
    return MadeLayer(tensors, E4M3[codes] * factors, {"format": "mxfp8"})


def nvfp4(rows: int, columns: int, seed: int, marked: bool = True) -> MadeLayer:
    random = _random(seed)
    codes = random.integers(0, 16, (rows, columns), dtype=np.uint8)
    blocks = random.integers(0, 0x7F, (rows, columns // 16), dtype=np.uint8)
    scale = np.float32(random.uniform(1e-4, 1e-2))
    factors = np.repeat(E4M3[blocks], 16, axis=1) * float(scale)
    tensors = {
        "weight": torch.from_numpy(codes[:, 0::2] * 16 + codes[:, 1::2]),
        "weight_scale": swizzled(blocks).view(torch.float8_e4m3fn),
        "weight_scale_2": torch.tensor(scale),
    }
    return MadeLayer(tensors, E2M1[codes] * factors, {"format": "nvfp4"} if marked else None)


def _e4m3_bytes(
    random: np.random.Generator, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Any byte but the two that are no numbers."""
    codes = random.integers(0, 256, shape, dtype=np.uint8)
    return np.where(codes & 0x7F == 0x7F, np.uint8(0), codes)


def assert_rounded(tensor: torch.Tensor, values: Values, dtype: torch.dtype) -> None:
    """Each is the number of `dtype` nearest to the true value, but for a tie that float32 makes."""
    assert tensor.dtype == dtype
    info = torch.finfo(dtype)
    _, exponents = np.frexp(np.maximum(np.abs(values), info.smallest_normal))
    half_steps = np.ldexp(info.eps / 2, exponents - 1)
    assert (np.abs(tensor.double().numpy() - values) <= half_steps * (1 + 2**-12)).all()
