"""Measure int8 products on this machine's GPU: whether they are right, and what a block takes.

    PYTHONPATH=<tree>/packages/ltx-core/src python -m verify.campaigns.int8 BASE OUT.json [--tune]

Each row in a process of its own, OUT.json written after each:
- *tiles* (with --tune) looks for the best tile of each product, which the rows after it use; what
  it kept of an earlier run counts without;
- *right*: the kernels beside the plain torch that they are held to, for every width of the blocks
  and odd counts of rows: sums bit for bit, outputs within one step of bf16, codes within one and
  at most one in 200 another, those of rows as they are none; and launched past Triton's own way
  the same as by it;
- *1536, 6144 and 24576 tokens*: the linear layers of a block by bf16, upstream's fp8-cast and int8,
  in turn, medians; torch._int_mm alone beside them;
- *step*: a call of the whole 19B transformer by each way, eager, what the host takes included;
- *memory*: what a down projection holds above what it is given, by fp8-cast and by int8.
Ends with 1 where something that has to hold does not. Needs torch with CUDA, triton and the patched
ltx_core.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk
from ltx2_patcher.values.errors import OutsideError
from verify import command
from verify.upstream.provenance import provenance
from verify.vram.requests import require_place

TILES, RIGHT, STEP, MEMORY = "tiles", "right", "step", "memory"
BLOCKS = {f"{tokens} tokens": tokens for tokens in (1536, 6144, 24576)}
LEAST_OVER_FP8 = {1536: 1.8, 6144: 1.8, 24576: 1.6}
LEAST_OVER_BF16 = 1.4
LEAST_OF_STEP = 1.4
MOST_ABOVE_FP8_BYTES = int(0.3 * 1024**3)
ODD_ROWS = (1, 3, 17, 126, 127, 257, 1023, 1537)
_WAYS = 2
"""To a kernel: Triton's own, and past it from the second launch of a kind on."""
_MOST_OTHER = 0.005
"""Of the codes of some rows."""
_SCALES = 2.0**-6  # keeps sums of 16,384 terms within what float32 holds of them


def tiles() -> dict[str, Any]:
    """What each product takes with each tile, kept where the rows after it look.

    Blocks have rows of their own, and where it was kept is this machine's.
    """
    import torch
    from ltx_core.int8 import tuning

    with torch.inference_mode():
        found = tuning.measure(_device(), _say)
    return {name: told for name, told in found.items() if name not in {"blocks", "kept"}}


def right() -> dict[str, Any]:
    """How far the kernels are from the plain torch beside them, at most."""
    import torch

    with torch.inference_mode():
        torch.manual_seed(0)
        return {
            "products": [_product_error(rows, *width) for width in _widths() for rows in ODD_ROWS],
            "rows": [
                _rows_error(rows, into, group, gelu=gelu, dtype=dtype)
                for into in sorted({into for _, into in _widths()})
                for rows in (1, 127, 1537)
                for group in (None, 256)
                for gelu in (False, True)
                for dtype in (torch.bfloat16, torch.float16, torch.float32)
            ],
            "odd_values": _odd_values(),
        }


def _widths() -> tuple[tuple[int, int], ...]:
    from ltx_core.int8.tiles import WIDTHS

    found: tuple[tuple[int, int], ...] = WIDTHS
    return found


def _product_error(rows: int, out: int, into: int) -> dict[str, Any]:
    """Sums as float32 with scales of 1 hold them, and bf16 outputs with scales and a bias."""
    import torch
    from ltx_core.int8.launching import multiplied
    from ltx_core.int8.product import accumulated
    from ltx_core.int8.rows import Rows

    device = _device()
    codes, weight = (
        torch.randint(-127, 128, (n, into), dtype=torch.int8, device=device) for n in (rows, out)
    )
    ones = (
        Rows(codes, torch.ones(rows, device=device)),
        Rows(weight, torch.ones(out, device=device)),
    )
    sums = accumulated(codes, weight)
    bits = all(
        torch.equal(multiplied(*ones, None, torch.float32), sums.to(torch.float32))
        for _ in range(_WAYS)
    )
    scales, weight_scales = (torch.rand(n, device=device) * _SCALES for n in (rows, out))
    bias = torch.randn(out, device=device, dtype=torch.bfloat16)
    given = (Rows(codes, scales), Rows(weight, weight_scales), bias, torch.bfloat16)
    made = torch.stack([multiplied(*given) for _ in range(_WAYS)])
    whole = sums.double() * scales.double()[:, None] * weight_scales.double()
    wanted = whole + bias.double()
    step = torch.exp2(torch.maximum(wanted.abs(), whole.abs() * 2**-14).log2().floor() - 7)
    return {
        "rows": rows,
        "width": [out, into],
        "sums_equal": bits,
        "bf16_steps": float(((made.double() - wanted).abs() / step).max()),
    }


def _rows_error(
    rows: int, into: int, group: int | None, *, gelu: bool, dtype: Any
) -> dict[str, Any]:
    import torch
    from ltx_core.int8.launching import rows_of
    from ltx_core.int8.rows import Rows, quantize_rows

    # Every second row of a wider tensor: not contiguous, as attention's outputs may be.
    given = torch.randn(2 * rows, into, device=_device()).to(dtype)[::2]
    ways = [rows_of(given, group, gelu) for _ in range(_WAYS)]
    made = Rows(*(one.cpu() for one in ways[0]))
    # On the CPU, which divides as IEEE 754 has it: torch divides by one number on a card by
    # multiplying with its inverse, and one code in 10,000 is another.
    wanted = quantize_rows(given.cpu(), group=group, gelu=gelu)
    apart = (made.codes.int() - wanted.codes.int()).abs()
    return {
        "rows": rows,
        "into": into,
        "group": group,
        "gelu": gelu,
        "dtype": str(dtype).removeprefix("torch."),
        "codes_apart": int(apart.max()),
        "codes_other": float(apart.count_nonzero() / apart.numel()),
        "scales_apart": float(((made.scales - wanted.scales).abs() / wanted.scales).max()),
        "ways_equal": all(all(map(torch.equal, ways[0], way)) for way in ways),
    }


def _odd_values() -> dict[str, bool]:
    """Whether a row of zeros, one with an infinity and one that is no number are as they should."""
    import torch
    from ltx_core.int8.launching import multiplied, rows_of
    from ltx_core.int8.rows import Rows, quantize_rows

    given = torch.randn(4, 4096, device=_device(), dtype=torch.bfloat16)
    given[0], given[1, 7], given[2, 9] = 0, float("inf"), float("nan")
    found = {}
    for group in (None, 256):
        made, wanted = rows_of(given, group), quantize_rows(given, group=group)
        weight = torch.randn(256, 4096, device=_device())
        held = Rows(*quantize_rows(weight, group=group))
        out = multiplied(made, held, None, torch.bfloat16)
        finite = [True, False, False, True]
        found[f"group {group}"] = (
            made.scales.isfinite().tolist() == wanted.scales.isfinite().tolist() == finite
            and out.isfinite().all(dim=1).tolist() == finite
            and not made.codes[:3].any()
            and not out[0].any()
        )
    return found


def block(video: int) -> dict[str, Any]:
    """What the linear layers of a block take."""
    import torch
    from ltx_core.int8 import tuning
    from ltx_core.int8.block import passes

    with torch.inference_mode():
        device = _device()
        made = tuning.block_ms(video, device)
        shapes = sorted({shape for of in passes(video) for shape in of.shapes})
        runs = []
        for rows, out, into in shapes:
            left = torch.randint(-127, 128, (rows, into), dtype=torch.int8, device=device)
            right = torch.randint(-127, 128, (out, into), dtype=torch.int8, device=device)
            product = torch._int_mm  # noqa: SLF001 - torch has no other name for it
            runs.append(partial(product, left, right.t()))
        alone = tuning.medians(runs, 7)
        made["int_mm_ms"] = [
            {"rows": rows, "width": [out, into], "ms": ms}
            for (rows, out, into), ms in zip(shapes, alone, strict=True)
        ]
        return dict(made)


def step() -> dict[str, Any]:
    """What a call of the whole transformer takes."""
    from verify.campaigns import int8_step

    return int8_step.step(_device())


def memory() -> dict[str, Any]:
    """Bytes that the layers of a feed-forward hold above what they are given, at most."""
    import torch
    from ltx_core.int8.launching import multiplied, rows_of
    from ltx_core.int8.rotation import GROUP
    from ltx_core.int8.tuning import Layer

    device, linear = _device(), torch.nn.functional.linear
    rows, width = max(BLOCKS.values()), 4096
    up, down = Layer.random(4 * width, width, device), Layer.random(width, 4 * width, device)
    x = torch.randn(rows, width, device=device, dtype=torch.bfloat16)

    def by_fp8_cast() -> torch.Tensor:
        made = linear(x, up.fp8.to(x.dtype), up.bias)
        made = torch.nn.functional.gelu(made, approximate="tanh")
        made = linear(made, down.fp8.to(x.dtype), down.bias)
        return made  # noqa: RET504 - typed by what it was made of

    def by_int8() -> torch.Tensor:
        made = multiplied(rows_of(x, GROUP), up.int8, up.bias, x.dtype)
        made = rows_of(made, GROUP, gelu=True)
        out: torch.Tensor = multiplied(made, down.int8, down.bias, x.dtype)
        return out

    def above(run: Callable[[], torch.Tensor]) -> int:
        run()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    with torch.inference_mode():
        return {
            "rows": rows,
            "fp8_cast_bytes": above(by_fp8_cast),
            "int8_bytes": above(by_int8),
        }


def _sees_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _device() -> Any:
    import torch

    return torch.device("cuda", 0)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


ROWS: Mapping[str, Callable[[], dict[str, Any]]] = {
    TILES: tiles,
    RIGHT: right,
    **{name: partial(block, tokens) for name, tokens in BLOCKS.items()},
    STEP: step,
    MEMORY: memory,
}


def failures(rows: Mapping[str, Any]) -> list[str]:
    """What has to hold of the rows that were run, and does not."""
    wrong = []
    for name, row in rows.items():
        if "failure" in row:
            wrong.append(f"{name}: {row['failure']}")
        elif name == RIGHT:
            wrong += _wrong(row)
        elif name in BLOCKS:
            ms, least = row["ms"], LEAST_OVER_FP8[BLOCKS[name]]
            for other, bound in (("fp8_cast", least), ("bf16", LEAST_OVER_BF16)):
                if (times := ms[other] / ms["int8"]) < bound:
                    wrong.append(f"{name}: {times:.2f} times {other}'s speed, not {bound}")
        elif name == STEP:
            if (times := row["s"]["fp8_cast"] / row["s"]["int8"]) < LEAST_OF_STEP:
                wrong.append(f"{name}: {times:.2f} times fp8_cast's speed, not {LEAST_OF_STEP}")
        elif name == MEMORY and row["int8_bytes"] > row["fp8_cast_bytes"] + MOST_ABOVE_FP8_BYTES:
            wrong.append(f"{name}: {row}")
    return wrong


def _wrong(row: Mapping[str, Any]) -> list[str]:
    wrong = [
        f"{RIGHT}: {one}"
        for one in row["products"]
        if not one["sums_equal"] or not one["bf16_steps"] <= 1
    ]
    for one in row["rows"]:
        exact = one["group"] is None and not one["gelu"]
        few = one["codes_other"] <= _MOST_OTHER
        near = few and one["codes_apart"] <= (0 if exact else 1) and one["scales_apart"] < 1e-2
        if not (near and one["ways_equal"]):
            wrong.append(f"{RIGHT}: {one}")
    wrong += [f"{RIGHT}: {name}" for name, held in row["odd_values"].items() if not held]
    return wrong


def run_row(name: str) -> dict[str, Any]:
    """What a row found in a process of its own; {"failure": words} where that ended otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        done = subprocess.run(
            [sys.executable, "-m", "verify.campaigns.int8", "row", name, str(out)], check=False
        )
        if done.returncode:
            return {"failure": f"its process ended with {done.returncode}"}
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return found


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.int8",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", help="which base the patched ltx_core is")
    parser.add_argument("out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--tune", action="store_true", help="look for the best tiles first")
    command.add_only(parser, tuple(ROWS))
    return parser


def row_parser() -> argparse.ArgumentParser:
    """What a row's own process is told."""
    parser = argparse.ArgumentParser(prog="python -m verify.campaigns.int8 row")
    parser.add_argument("row", choices=tuple(ROWS))
    parser.add_argument("out", type=Path)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and write the report: 0, or 1 where something that has to hold does not.

    Raises: OutsideError where no GPU is seen, UsageError as `require_place`.
    """
    require_place(args.out)
    if not _sees_gpu():
        raise OutsideError(
            f"{sys.executable} has no torch that sees a GPU, on which int8 products are measured",
            remedy="use a machine with one, and the Python that `make install` made there",
        )
    report: dict[str, Any] = {**provenance(args.base, "int8"), "rows": {}}
    for name in args.only or ROWS:
        if name == TILES and not (args.tune or args.only):
            continue
        report["rows"][name] = run_row(name)
        report["failures"] = failures(report["rows"])
        disk.replace(args.out, f"{json.dumps(report, indent=1)}\n".encode())
    print(json.dumps({"failures": report["failures"]}, indent=1))
    return 1 if report["failures"] else 0


def run_one(args: argparse.Namespace) -> int:
    """In a row's own process: run it and write what it found."""
    found = json.dumps(ROWS[args.row]())
    disk.replace(args.out, f"{found}\n".encode())
    return 0


def main() -> int:
    """As `command.main`, of the campaign or of one row's process."""
    if sys.argv[1:2] == ["row"]:
        return command.main(row_parser, run_one, sys.argv[2:])
    return command.main(parser, run)


if __name__ == "__main__":
    raise SystemExit(main())
