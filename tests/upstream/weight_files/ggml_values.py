"""What blocks of GGML types stand for, in float64, by ggml-common.h and ggml-quants.c.

Each function takes the bytes of blocks, uint8 (blocks, bytes a block), and gives their values,
float64 (blocks, values a block).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


def half(block: Bytes) -> Values:
    """The float16 that two bytes are, (blocks, 1)."""
    return block.copy().view(np.float16).astype(np.float64)


def q8_0(block: Bytes) -> Values:
    """A scale and 32 int8."""
    return half(block[:, :2]) * block[:, 2:].view(np.int8)


def q4_0(block: Bytes) -> Values:
    """A scale and 32 codes less 8, the first half of them in the low nibbles."""
    codes = np.concatenate((block[:, 2:] & 15, block[:, 2:] >> 4), axis=1)
    return half(block[:, :2]) * (codes.astype(np.float64) - 8)


def q4_k(block: Bytes) -> Values:
    """A scale of scales and one of minima, 8 of each in 6 bits, and 8 times 32 codes."""
    scale, least = half(block[:, :2]), half(block[:, 2:4])
    packed = block[:, 4:16]
    low, middle, high = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate((low & 63, (high & 15) | (low >> 6) << 4), axis=1)
    minima = np.concatenate((middle & 63, (high >> 4) | (middle >> 6) << 4), axis=1)
    nibbles = block[:, 16:].reshape(-1, 4, 1, 32)
    codes = np.concatenate((nibbles & 15, nibbles >> 4), axis=2).reshape(-1, 8, 32)
    by_group = (scale * scales)[:, :, None] * codes - (least * minima)[:, :, None]
    return by_group.reshape(len(block), 256)


def q6_k(block: Bytes) -> Values:
    """Codes of 6 bits less 32: low nibbles, then the upper two bits; 16 int8 scales; a scale."""
    values = np.empty((len(block), 256))
    scales, scale = block[:, 192:208].view(np.int8).astype(np.float64), half(block[:, 208:])
    for part in range(2):
        low, high = block[:, 64 * part :][:, :64], block[:, 128 + 32 * part :][:, :32]
        quarters = (
            (low[:, :32] & 15) | ((high & 3) << 4),
            (low[:, 32:] & 15) | ((high >> 2 & 3) << 4),
            (low[:, :32] >> 4) | ((high >> 4 & 3) << 4),
            (low[:, 32:] >> 4) | ((high >> 6) << 4),
        )
        codes = np.concatenate(quarters, axis=1).astype(np.float64) - 32
        by_group = np.repeat(scales[:, 8 * part : 8 * part + 8], 16, axis=1)
        values[:, 128 * part : 128 * part + 128] = scale * by_group * codes
    return values


TYPES: Mapping[str, tuple[int, int, tuple[int, ...], Callable[[Bytes], Values]]] = {
    # values a block, bytes a block, where float16 scales lie, and the values
    "Q8_0": (32, 34, (0,), q8_0),
    "Q4_0": (32, 18, (0,), q4_0),
    "Q4_K": (256, 144, (0, 2), q4_k),
    "Q6_K": (256, 210, (208,), q6_k),
}


def made(kind: str, rows: int, columns: int, seed: int) -> tuple[Bytes, Values]:
    """Random blocks, their scales of usual sizes: bytes (rows, ...), values (rows, columns)."""
    a_block, size, scales, values = TYPES[kind]
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (rows * columns // a_block, size), dtype=np.uint8)
    for at in scales:
        scale = generator.uniform(-0.01, 0.01, (len(blocks), 1)).astype(np.float16)
        blocks[:, at : at + 2] = scale.view(np.uint8)
    return blocks.reshape(rows, -1), values(blocks).reshape(rows, columns)
