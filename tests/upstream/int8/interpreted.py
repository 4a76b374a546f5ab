"""The kernels as they are launched on a card, but in Triton's interpreter.

Only for a process with TRITON_INTERPRET=1: Triton decides at its first import whether it
interprets. Tensors go in and out as they are.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch
from ltx_core.int8.rows import Rows
from ltx_core.int8.tiles import Line, Table, Tile

SMALL = Table((Line(8, None, Tile(16, 32, 32, 4, 3)), Line(None, None, Tile(32, 16, 64, 4, 2))))
"""Tiles that the interpreter is done with soon, one for few rows."""


BULK = Table((Line(None, None, Tile(32, 16, 64, 4, 2, bulk=True)),))
"""With reads by the copy engine."""


def rows_of(given: torch.Tensor, *, step: int, group: int | None, gelu: bool) -> Rows:
    """Every `step`-th row of `given`, quantized."""
    operators = _operators(SMALL)
    rows: Rows = operators.rows_of(given[..., ::step, :], group, gelu)
    return rows


def multiplied(
    rows: Rows,
    weight: Rows,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
    table: Table = SMALL,
) -> torch.Tensor:
    """Their product."""
    out: torch.Tensor = _operators(table).multiplied(rows, weight, bias, dtype)
    return out


def _operators(table: Table) -> Any:
    from ltx_core.int8 import operators

    operators.table_of = lambda _device: table  # of a card, which is not here
    return operators


Interpreter = Callable[..., Any]


@contextmanager
def interpreter() -> Iterator[Interpreter]:
    """What calls a function of this module in a process that interprets."""
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_mended)
        pool.submit(int).result()  # starts it
    finally:
        if before is None:
            del os.environ["TRITON_INTERPRET"]
        else:
            os.environ["TRITON_INTERPRET"] = before
    with pool:
        yield lambda function, *given, **named: pool.submit(
            _called, function, given, named
        ).result()


def _called(function: Callable[..., Any], given: Sequence[Any], named: dict[str, Any]) -> Any:
    torch.set_num_threads(1)
    return function(*given, **named)


def _mended() -> None:
    """The interpreter of Triton 3.6 does as a card where it does not.

    It makes an array of one element of the number that ends a loop, which a newer numpy takes for
    no number; it cuts bf16 off where a card rounds; and it multiplies the bits of bf16.
    """
    from triton import language as tl
    from triton.runtime import interpreter as triton_interpreter

    patch_tensor = triton_interpreter._patch_lang_tensor
    builder, handle = triton_interpreter.InterpreterBuilder, triton_interpreter.TensorHandle
    cast, dot = builder.cast_impl, builder.create_dot

    def patched(tensor: Any, scope: Any) -> None:
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def rounded(self: Any, given: Any, dtype: Any) -> Any:
        if (given.dtype.scalar, dtype.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, given, dtype)
        # As the card: a copy, for torch takes no array of one that may not be written to.
        bits = torch.from_numpy(given.data.copy()).to(torch.bfloat16).view(torch.int16)
        return handle(bits.numpy().view("uint16"), tl.bfloat16)

    def multiplied_by(self: Any, left: Any, right: Any, *given: Any) -> Any:
        wide = [
            cast(self, of, tl.float32) if of.dtype.scalar == tl.bfloat16 else of
            for of in (left, right)
        ]
        return dot(self, *wide, *given)

    triton_interpreter._patch_lang_tensor = patched
    builder.cast_impl, builder.create_dot = rounded, multiplied_by
    # numpy warns of what a card computes without a word: 127 / 0, inf - inf.
    warnings.simplefilter("ignore", RuntimeWarning)
