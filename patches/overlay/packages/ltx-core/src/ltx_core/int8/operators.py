"""The kernels as operators: launched at once in eager mode, and seen through by torch.compile."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
import triton
from torch.library import triton_op, wrap_triton

from ltx_core.int8 import kept
from ltx_core.int8.kernels import product_kernel, rows_kernel
from ltx_core.int8.relaunching import Launch, Launched
from ltx_core.int8.rows import Rows
from ltx_core.int8.tiles import TABLES, Table, Tile, nearest

_BAND = 8
"""Blocks of rows whose programs follow each other: with 128 x 256 they and their columns fit the L2 of every card."""


@functools.cache
def table_of(device: torch.device) -> Table:
    """Return what a card works with: its own measured table, if one was kept, or that of its capability."""
    capability = torch.cuda.get_device_capability(device)
    path = kept.place(torch.cuda.get_device_name(device), triton.__version__)
    return kept.table_at(path, capability) or TABLES[nearest(capability)]


def forget() -> None:
    """Let launches from now on go by the table that lies in the cache folder by now."""
    table_of.cache_clear()
    _rows.forget()
    _product.forget()


def rows_of(x: torch.Tensor, group: int | None, gelu: bool) -> Rows:
    """Return `x` (..., K) as `rows.quantize_rows` does.

    Raises: ValueError for a width that the kernel can't take.
    """
    if not x.is_contiguous() and not (x.dim() == 2 and x.stride(1) == 1):
        x = x.contiguous()
    make = _rows_operator if torch.compiler.is_compiling() else _make_rows
    return Rows(*make(x, group or 1, gelu))


def multiplied(rows: Rows, weight: Rows, bias: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """Return rows (..., K) times weight (N, K) as `product.product` does.

    Raises: ValueError for operands that the kernel can't take.
    """
    if not (rows.codes.is_contiguous() and weight.codes.is_contiguous()):
        raise ValueError("codes to be multiplied on a card lie row by row without gaps")
    make = _product_operator if torch.compiler.is_compiling() else _make_product
    return make(rows.codes, rows.scales, weight.codes, weight.scales, bias, dtype)


def rows_launch(count: int, width: int, group: int, gelu: bool, warps: int) -> Launch:
    """Return the launch that quantizes `count` rows of `width` values, each by so many warps. Raises: ValueError."""
    if width % 8 or width % group:
        raise ValueError(f"rows of {width} values can't be quantized on a card: no multiple of 8 and of {group}")
    constants = {"K": width, "COUNT": channels(width), "GROUP": group, "GELU": gelu}
    return Launch((count, 1, 1), constants, {"num_warps": warps})


def product_launch(rows: int, columns: int, width: int, biased: bool, tile: Tile) -> Launch:
    """Return the launch of a product (rows, width) times (columns, width). Raises: ValueError."""
    if columns % 16 or width % 16:
        raise ValueError(f"a weight ({columns}, {width}) can't be multiplied on a card: no multiples of 16")
    programs = triton.cdiv(rows, tile.block_m) * triton.cdiv(columns, tile.block_n)
    blocks = {"BLOCK_M": tile.block_m, "BLOCK_N": tile.block_n, "BLOCK_K": tile.block_k, "BAND": _BAND}
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    how = {"BIASED": biased, "WHOLE": width % tile.block_k == 0, "BULK": tile.bulk}
    return Launch((programs, 1, 1), {**how, **blocks}, options)


def operands(codes: torch.Tensor, weight: torch.Tensor, tile: Tile) -> tuple[Any, Any]:
    """Return codes (..., K) and weight (N, K) as the kernel is given them for such a tile."""
    if not tile.bulk:
        return codes, weight
    from triton.tools.tensor_descriptor import TensorDescriptor  # noqa: PLC0415 - Triton has it from 3.4 on

    columns, width = weight.shape
    rows = codes.numel() // width
    return (
        TensorDescriptor(codes, [rows, width], [width, 1], [tile.block_m, tile.block_k]),
        TensorDescriptor(weight, [columns, width], [width, 1], [tile.block_n, tile.block_k]),
    )


def channels(width: int) -> int:
    """Return what a program holds a row of such a width as."""
    return max(triton.next_power_of_2(width), 256)


_rows, _product = Launched(rows_kernel), Launched(product_kernel)
_HERE = nullcontext()


def _on(card: int | None) -> Any:  # noqa: ANN401
    """Return the context in which a launch goes to the card of that number; None is no card."""
    here = card is None or card == torch.cuda.current_device()
    return _HERE if here else torch.cuda.device(card)


def _new_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    codes = torch.empty_like(x, dtype=torch.int8, memory_format=torch.contiguous_format)
    return codes, torch.empty(tuple(x.shape)[:-1], dtype=torch.float32, device=x.device)


def _row_stride(x: torch.Tensor) -> int:
    return x.stride(0) if x.dim() == 2 else x.shape[-1]


def _make_rows(x: torch.Tensor, group: int, gelu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    codes, scales = _new_rows(x)
    place, stride, card = x.data_ptr(), _row_stride(x), x.device.index
    key = (card, x.dtype, x.shape, stride, group, gelu) if place % 16 == 0 else None
    with _on(card):
        if (launch := _rows.known(key)) is not None:
            launch(card, place, codes.data_ptr(), scales.data_ptr(), stride)
        elif count := scales.numel():
            width = x.shape[-1]
            warps = table_of(x.device).row_warps(channels(width))
            _rows.anew(key, rows_launch(count, width, group, gelu, warps), x, codes, scales, stride)
    return codes, scales


def _make_product(
    codes: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor,
    weight_scales: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
) -> torch.Tensor:
    columns, width = weight.shape
    out = torch.empty((*scales.shape, columns), dtype=dtype, device=codes.device)
    count, card = scales.numel(), codes.device.index
    left, by, right, by_right = codes.data_ptr(), scales.data_ptr(), weight.data_ptr(), weight_scales.data_ptr()
    added, added_as = (None, None) if bias is None else (bias.data_ptr(), bias.dtype)
    even = (left | by | right | by_right | (added or 0)) % 16 == 0
    key = (card, count, columns, width, added_as, dtype) if even else None
    with _on(card):
        if (launch := _product.known(key)) is not None:
            launch(card, left, by, right, by_right, added, out.data_ptr(), count, columns, width)
        elif count:
            tile = table_of(codes.device).tile(count, (columns, width))
            if not even:  # the copy engine reads from multiples of 16 alone
                tile = replace(tile, bulk=False)
            given = operands(codes, weight, tile)
            launch = product_launch(count, columns, width, bias is not None, tile)
            behind = (weight_scales, bias, out, count, columns, width)
            _product.anew(key, launch, given[0], scales, given[1], *behind)
    return out


@triton_op("ltx2_int8::rows", mutates_args={})
def _rows_operator(x: torch.Tensor, group: int, gelu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    codes, scales = _new_rows(x)
    width = int(x.shape[-1])  # a compiled graph is of one width, with any count of rows
    warps = table_of(x.device).row_warps(channels(width))
    grid, constants, options = rows_launch(scales.numel(), width, group, gelu, warps)
    wrap_triton(rows_kernel)[grid](x, codes, scales, _row_stride(x), **constants, **options)
    return codes, scales


@triton_op("ltx2_int8::product", mutates_args={})
def _product_operator(
    codes: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor,
    weight_scales: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
) -> torch.Tensor:
    columns, width = map(int, weight.shape)
    out = torch.empty((*codes.shape[:-1], columns), dtype=dtype, device=codes.device)
    count = scales.numel()
    # A graph passes tensors alone: no descriptors, no None.
    tile = replace(table_of(codes.device).tile(count, (columns, width)), bulk=False)
    grid, constants, options = product_launch(count, columns, width, bias is not None, tile)
    absent = weight_scales if bias is None else bias
    wrap_triton(product_kernel)[grid](
        codes, scales, weight, weight_scales, absent, out, count, columns, width, **constants, **options
    )
    return out
