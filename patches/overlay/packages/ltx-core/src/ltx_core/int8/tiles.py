"""Which tiles the kernels work in, by card, rows and weight; pure.

A table comes from a card that was measured, or from what a card has: registers without a spill, and shared memory.
docs/int8.md has the resources of each tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType

from ltx_core.int8.block import AUDIO_TOKENS, TEXT_TOKENS, passes

Capability = tuple[int, int]

LOWEST: Capability = (8, 0)
"""Triton compiles no product of int8 on a Turing card (7.5), and upstream's pipelines need bf16, which starts here."""

SHARED_BYTES: Mapping[Capability, int] = MappingProxyType(
    {
        (8, 0): 163 << 10,
        (8, 6): 99 << 10,
        (8, 9): 99 << 10,
        (9, 0): 227 << 10,
        (10, 0): 227 << 10,
        (12, 0): 99 << 10,
    }
)
"""What a block of threads may have (CUDA C++ programming guide, compute capabilities)."""

WIDTHS = tuple(sorted({(out, into) for of in passes(1) for _, out, into in of.shapes}))
"""(out, in) of every linear layer of a block of LTX-2 19B, 2.3 and 2.5."""

ROWS = ((256, AUDIO_TOKENS), (1024, TEXT_TOKENS), (3072, 1536), (12288, 6144), (None, 24576))
"""Classes of rows: up to how many one reaches, and how many stand for it in a measurement. The last has no end."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What one program of the product makes, and how."""

    block_m: int  # rows
    block_n: int  # columns
    block_k: int  # terms that it reads at a time
    warps: int
    stages: int  # such reads under way
    bulk: bool = False  # by the copy engine, which cards have from 9.0 on

    def __post_init__(self) -> None:
        """Raises: ValueError where no kernel can be made of it."""
        for name, least in (("block_m", 16), ("block_n", 16), ("block_k", 32), ("warps", 1)):
            value = getattr(self, name)
            if value < least or value & (value - 1):
                raise ValueError(f"{name} of a tile is a power of 2 of {least} or more, not {value}")
        if not (1 <= self.stages <= 8 and self.warps <= 32):
            raise ValueError(f"a tile has up to 8 stages and 32 warps, not {self.stages} and {self.warps}")

    def shared_bytes(self, capability: Capability) -> int:
        """Return what its reads take: Hopper multiplies out of the last one, others have it in registers by then."""
        reads = self.stages if capability[0] == 9 else max(self.stages - 1, 1)
        barriers = 8 * self.stages if self.bulk else 0
        return reads * (self.block_m + self.block_n) * self.block_k + barriers

    def runs_on(self, capability: Capability) -> bool:
        """Return whether such a card has the memory and the engine for it."""
        fits = self.shared_bytes(capability) <= SHARED_BYTES[nearest(capability)]
        return fits and (not self.bulk or capability[0] == 9)


@dataclass(frozen=True, slots=True)
class Line:
    """The tile of products with up to so many rows, by weights of one shape or of any."""

    most_rows: int | None  # None: any
    width: tuple[int, int] | None  # (out, in); None: any
    tile: Tile

    def takes(self, rows: int, width: tuple[int, int]) -> bool:
        """Return whether it is of such a product."""
        return (self.most_rows is None or rows <= self.most_rows) and self.width in (None, width)


@dataclass(frozen=True, slots=True)
class Table:
    """What a card works with. The first line that takes a product counts, and the last takes any."""

    lines: tuple[Line, ...]
    measured: bool = False
    row_values: Mapping[int, int] = field(default_factory=dict)
    """{channels of a row: how many of them a thread holds}, where it is not `ROW_VALUES`."""

    def __post_init__(self) -> None:
        """Raises: ValueError without a line for any product."""
        if not self.lines or (self.lines[-1].most_rows, self.lines[-1].width) != (None, None):
            raise ValueError("the last line of a table is for any product")

    def tile(self, rows: int, width: tuple[int, int]) -> Tile:
        """Return the tile of a product of so many rows with a weight (out, in)."""
        return next(line.tile for line in self.lines if line.takes(rows, width))

    def row_warps(self, channels: int) -> int:
        """Return the warps that quantize one row; `channels` is a power of 2."""
        return row_warps(channels, self.row_values.get(channels, ROW_VALUES))


def row_warps(channels: int, values: int) -> int:
    """Return the warps that hold a row of so many channels, so many of them in each thread."""
    return min(max(channels // (32 * values), 1), 32)


ROW_VALUES = 32
"""Channels in the registers of a thread that quantizes a row: 48 to 64 registers, no spill, on every card."""

_SMALL = Tile(64, 64, 128, warps=4, stages=4)
_MIDDLE = Tile(128, 128, 64, warps=4, stages=4)
_LARGE = Tile(128, 256, 64, warps=8, stages=4)
_AMPERE = Table((Line(256, None, _SMALL), Line(1024, None, _MIDDLE), Line(None, None, _LARGE)))
_HALF = Tile(64, 128, 128, warps=4, stages=4, bulk=True)
_SQUARE = Tile(128, 128, 128, warps=4, stages=3, bulk=True)
_HOPPER = Table(
    (
        Line(256, (8192, 2048), Tile(64, 64, 128, warps=4, stages=4, bulk=True)),
        Line(256, None, Tile(64, 32, 256, warps=4, stages=4, bulk=True)),
        Line(1024, (2048, 2048), _HALF),
        Line(1024, None, _SQUARE),
        Line(3072, (2048, 4096), replace(_HALF, stages=3)),
        Line(3072, (4096, 2048), replace(_SQUARE, warps=8)),
        Line(3072, (4096, 4096), replace(_SQUARE, warps=8, bulk=False)),
        Line(3072, (4096, 16384), _HALF),
        Line(None, (4096, 16384), replace(_SQUARE, bulk=False)),
        Line(None, None, _SQUARE),
    ),
    measured=True,  # verify/baselines/int8-1.2.0-nvidia-h200.json
    row_values={2048: 64, 8192: 64, 16384: 64},
)
TABLES: Mapping[Capability, Table] = MappingProxyType(
    {
        (8, 0): _AMPERE,
        (8, 6): _AMPERE,
        (8, 9): _AMPERE,
        (9, 0): _HOPPER,
        (10, 0): _AMPERE,  # Triton gives int8 to the older matrix instruction there
        (12, 0): _AMPERE,
    }
)


def nearest(capability: Capability) -> Capability:
    """Return the newest capability with a table that is not above `capability`, which is at least `LOWEST`."""
    return max(known for known in TABLES if known <= capability)


def candidates(capability: Capability) -> tuple[Tile, ...]:
    """Return the tiles that a measurement on such a card tries: within its shared memory, and likely to be fast."""
    shapes = (
        *((*small, 128, 4) for small in ((64, 64), (64, 128), (128, 64))),
        *((128, 128, depth, warps) for depth, warps in product((64, 128), (4, 8))),
        *((*wide, depth, 8) for wide, depth in product(((128, 256), (256, 128)), (64, 128))),
        (64, 256, 128, 4),
        (64, 32, 256, 4),
    )
    tried = (Tile(*shape, stages, bulk) for shape, stages, bulk in product(shapes, (3, 4), (False, True)))
    return tuple(tile for tile in tried if tile.runs_on(capability))
