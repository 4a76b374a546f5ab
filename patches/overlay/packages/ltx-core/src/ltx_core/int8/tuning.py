"""Find the fastest tiles on this card, keep them for later processes, and time the layers of a block.

    python -m ltx_core.int8.tuning

Prints what it is at, and last the report as one line of JSON. Takes about a minute, a GiB of the card, and a machine
that does nothing else. Ends with 1 and a sentence where there is no card that int8 products run on.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from ltx_core.int8.block import VIDEO_TOKENS, Pass, passes
from ltx_core.int8.launching import multiplied, rows_of, why_not
from ltx_core.int8.rotation import GROUP
from ltx_core.int8.rows import Rows, quantize_rows
from ltx_core.int8.tiles import ROWS, TABLES, Line, Tile, candidates, nearest, row_warps

_TRIES = 7  # timed runs of one tile, after two more
_ROUNDS = 15  # timed runs of a block, all ways in turn
_HEAD_START = 20_000_000  # cycles, about 10 ms
_ROW_VALUES = (16, 32, 64)
_WEIGHT_STD = 0.03  # of the released weights

Say = Callable[[str], None]
Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best tile of one product."""

    rows: int
    width: tuple[int, int]  # (out, in)
    tile: Tile
    ms: float
    ours_ms: float | None  # with the tile of our table; None where that does not run here

    def line(self) -> Line:
        """Return it as a line of a table, for the class of rows that it stands for."""
        return Line(next(most for most, sample in ROWS if sample == self.rows), self.width, self.tile)


@dataclass(slots=True)
class Layer:
    """A weight as each way holds it."""

    bf16: torch.Tensor  # (out, in)
    fp8: torch.Tensor
    int8: Rows
    bias: torch.Tensor

    @classmethod
    def random(cls, out: int, into: int, device: torch.device) -> Layer:
        """Return one of normal weights, as wide as the released ones."""
        weight = torch.randn(out, into, device=device).mul_(_WEIGHT_STD).to(torch.bfloat16)
        held = quantize_rows(weight, group=GROUP)
        bias = torch.randn(out, device=device, dtype=torch.bfloat16)
        return cls(weight, weight.to(torch.float8_e4m3fn), held, bias)


def products() -> tuple[tuple[int, tuple[int, int]], ...]:
    """Return each (rows, (out, in)) of the blocks, over all counts of video tokens."""
    shapes = {shape for video in VIDEO_TOKENS for of in passes(video) for shape in of.shapes}
    return tuple((rows, (out, into)) for rows, out, into in sorted(shapes))


def tuned(device: torch.device, say: Say) -> tuple[Tuned, ...]:
    """Return the best tile of each product."""
    capability = torch.cuda.get_device_capability(device)
    tiles = _compiled(candidates(capability), device, say)
    ours = TABLES[nearest(capability)]
    best = []
    for at, (rows, width) in enumerate(products(), 1):
        runs = _product_runs(rows, width, tiles, device)
        ms = dict(zip(tiles, medians(runs, _TRIES), strict=True))
        tile = min(ms, key=ms.__getitem__)
        best.append(Tuned(rows, width, tile, ms[tile], ms.get(ours.tile(rows, width))))
        say(f"{at} of {len(products())}: {rows} rows through {width}: {ms[tile]:.3f} ms by {_words(tile)}")
    return tuple(best)


def _compiled(tiles: Sequence[Tile], device: torch.device, say: Say) -> tuple[Tile, ...]:
    """Return those of which this card's Triton makes a kernel that does not spill."""
    say(f"compiling {len(tiles)} kernels")

    def made(tile: Tile) -> Tile | None:
        from ltx_core.int8.operators import product_kernel  # noqa: PLC0415 - there is a card

        try:
            with torch.cuda.device(device):  # a thread begins with the first
                kernel = _launched(product_kernel, *_operands(16, (256, 256), device), tile)
        except Exception as error:  # whatever Triton throws, it is no tile for here
            say(f"no {_words(tile)}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            return None
        return None if getattr(kernel, "n_spills", 0) else tile

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        return tuple(tile for tile in pool.map(made, tiles) if tile is not None)


def _operands(rows: int, width: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, ...]:
    out, into = width
    codes, weight = (torch.randint(-127, 128, (n, into), dtype=torch.int8, device=device) for n in (rows, out))
    scales, weight_scales = (torch.rand(n, device=device) for n in (rows, out))
    bias = torch.randn(out, dtype=torch.bfloat16, device=device)
    made = torch.empty(rows, out, dtype=torch.bfloat16, device=device)
    return codes, scales, weight, weight_scales, bias, made


def _launched(kernel: Any, *given: Any) -> Any:  # noqa: ANN401
    from ltx_core.int8.operators import operands, product_launch  # noqa: PLC0415 - there is a card

    codes, scales, weight, *others, tile = given
    (rows, into), (out, _) = codes.shape, weight.shape
    grid, constants, options = product_launch(rows, out, into, biased=True, tile=tile)
    left, right = operands(codes, weight, tile)
    return kernel[grid](left, scales, right, *others, rows, out, into, **constants, **options)


def _product_runs(rows: int, width: tuple[int, int], tiles: Sequence[Tile], device: torch.device) -> list[Run]:
    from ltx_core.int8.operators import product_kernel  # noqa: PLC0415 - there is a card

    operands = _operands(rows, width, device)
    return [lambda tile=tile: _launched(product_kernel, *operands, tile) for tile in tiles]


def row_values(device: torch.device, say: Say) -> dict[int, int]:
    """Return how many values of a row a thread best holds, by the width of rows."""
    from ltx_core.int8.operators import rows_kernel, rows_launch  # noqa: PLC0415 - there is a card

    best = {}
    for into, gelu in sorted({(of.into, of.gelu) for of in passes(VIDEO_TOKENS[1])}):
        x = torch.randn(VIDEO_TOKENS[1], into, dtype=torch.bfloat16, device=device)
        codes = torch.empty(x.shape, dtype=torch.int8, device=device)
        scales = torch.empty(x.shape[0], device=device)

        given = (x, codes, scales, into)

        def run(values: int, given: tuple[Any, ...] = given, gelu: bool = gelu) -> None:
            x, *_, into = given
            grid, constants, options = rows_launch(x.shape[0], into, GROUP, gelu, row_warps(into, values))
            rows_kernel[grid](*given, **constants, **options)

        ms = medians([lambda values=values: run(values) for values in _ROW_VALUES], _TRIES)
        best[into] = min(zip(ms, _ROW_VALUES, strict=True))[1]
        say(f"rows of {into}: {min(ms):.3f} ms with {best[into]} values a thread")
    return best


def medians(runs: Sequence[Run], tries: int) -> list[float]:
    """Return the ms that each takes on the card, each in turn so that what slows a card down hits all alike.

    The card is kept busy until all are asked for: else it would wait for the host between what is timed.
    """
    marks: list[list[tuple[torch.cuda.Event, torch.cuda.Event]]] = [[] for _ in runs]
    for _ in range(tries + 2):
        torch.cuda._sleep(_HEAD_START)
        for run, taken in zip(runs, marks, strict=True):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            taken.append((start, end))
        torch.cuda.synchronize()
    return [statistics.median(start.elapsed_time(end) for start, end in taken[2:]) for taken in marks]


def block_ms(video: int, device: torch.device) -> dict[str, Any]:
    """Return what the linear layers of a block take in ms by each way, in all and by pass, and GELU besides.

    int8's has the rotation, the codes and GELU in it, the others' the layers alone.
    """
    of_block = passes(video)
    layers = {of: [Layer.random(out, of.into, device) for out in of.outs] for of in of_block}
    given = {
        of: torch.randn(1, of.rows, of.into, device=device, dtype=torch.float32).to(torch.bfloat16) for of in of_block
    }
    totals, issued = _medians_and_host([_through(way, of_block, layers, given) for way in WAYS.values()])
    gelus = [lambda: [torch.nn.functional.gelu(given[of], approximate="tanh") for of in of_block if of.gelu]]
    single = {
        of.name: dict(
            zip(WAYS, medians([_through(way, (of,), layers, given) for way in WAYS.values()], _TRIES), strict=True)
        )
        for of in of_block
    }
    return {
        "video_tokens": video,
        "ms": dict(zip(WAYS, totals, strict=True)),
        "issued_ms": dict(zip(WAYS, issued, strict=True)),  # what the host takes to ask for it
        "gelu_ms": medians(gelus, _TRIES)[0],
        "passes_ms": single,
    }


def _by_bf16(_of: Pass, x: torch.Tensor, layers: Sequence[Layer]) -> None:
    for layer in layers:
        torch.nn.functional.linear(x, layer.bf16, layer.bias)


def _by_fp8_cast(_of: Pass, x: torch.Tensor, layers: Sequence[Layer]) -> None:
    """Go through the layers as upstream's Fp8CastLinear does."""
    for layer in layers:
        torch.nn.functional.linear(x, layer.fp8.to(x.dtype), layer.bias)


def _by_int8(of: Pass, x: torch.Tensor, layers: Sequence[Layer]) -> None:
    rows = rows_of(x, GROUP, of.gelu)
    for layer in layers:
        multiplied(rows, layer.int8, layer.bias, x.dtype)


WAYS = {"bf16": _by_bf16, "fp8_cast": _by_fp8_cast, "int8": _by_int8}


def _through(
    way: Callable[[Pass, torch.Tensor, Sequence[Layer]], None],
    of_block: Sequence[Pass],
    layers: dict[Pass, list[Layer]],
    given: dict[Pass, torch.Tensor],
) -> Run:
    def run() -> None:
        for of in of_block:
            way(of, given[of], layers[of])

    return run


def _medians_and_host(runs: Sequence[Run]) -> tuple[list[float], list[float]]:
    """Return the ms that each takes on the card, and those in which the host asked for it."""
    issued: list[list[float]] = [[] for _ in runs]

    def timed(run: Run, taken: list[float]) -> Run:
        def through() -> None:
            began = time.perf_counter()
            run()
            taken.append((time.perf_counter() - began) * 1e3)

        return through

    on_card = medians([timed(run, taken) for run, taken in zip(runs, issued, strict=True)], _ROUNDS)
    return on_card, [statistics.median(taken[2:]) for taken in issued]


def measure(device: torch.device, say: Say) -> dict[str, Any]:
    """Return the report, and keep it where later processes look for their table. Raises: OSError."""
    import triton  # noqa: PLC0415 - there is a card

    from ltx_core.int8 import kept, operators  # noqa: PLC0415

    card, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    best = tuned(device, say)
    lines = tuple(one.line() for one in best) + TABLES[nearest(capability)].lines
    report: dict[str, Any] = {
        "card": card,
        "capability": list(capability),
        "versions": {"torch": torch.__version__, "triton": triton.__version__},
        "date": dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d"),
        "row_values": row_values(device, say),
        "lines": [kept.as_json(line) for line in lines],
        "tuned": [{**kept.as_json(one.line()), "rows": one.rows, "ms": one.ms, "ours_ms": one.ours_ms} for one in best],
    }
    path = kept.place(card, triton.__version__)
    kept.keep(path, report)
    operators.forget()
    report["blocks"] = list(blocks(device, say))
    kept.keep(path, report)
    return {**report, "kept": str(path)}


def blocks(device: torch.device, say: Say) -> Iterator[dict[str, Any]]:
    """Give what a block takes for each count of video tokens that the card has memory for."""
    for video in VIDEO_TOKENS:
        try:
            made = block_ms(video, device)
        except torch.cuda.OutOfMemoryError:
            say(f"a block of {video} tokens does not fit this card")
            continue
        say(f"a block of {video} tokens: " + ", ".join(f"{way} {ms:.2f} ms" for way, ms in made["ms"].items()))
        yield made
        torch.cuda.empty_cache()


def _words(tile: Tile) -> str:
    shape = f"{tile.block_m}x{tile.block_n}x{tile.block_k}"
    return f"{shape}, {tile.warps} warps, {tile.stages} stages{', bulk' if tile.bulk else ''}"


@torch.inference_mode()
def main() -> int:
    """Measure and print: 0, or 1 where it can't."""

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201 - whoever started it waits a minute

    if not torch.cuda.is_available():
        print("torch sees no card", file=sys.stderr)  # noqa: T201
        return 1
    device = torch.device("cuda", torch.cuda.current_device())
    if refusal := why_not(device):
        print(refusal, file=sys.stderr)  # noqa: T201
        return 1
    try:
        say(json.dumps(measure(device, say)))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
