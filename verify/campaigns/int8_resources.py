"""What the kernels of int8 products take of each card, compiled here for cards that are not.

    PYTHONPATH=<tree>/packages/ltx-core/src python -m verify.campaigns.int8_resources BASE OUT.json

For every capability of the tables, each of its tiles, and the rows of each width of the blocks:
registers, spilled bytes, shared memory, and the matrix instruction that Triton chose. It ends with
1 where a kernel spills or takes more shared memory than the card has. Needs triton, no GPU.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import triton
from ltx_core.int8.kernels import product_kernel, rows_kernel
from ltx_core.int8.operators import product_launch, rows_launch
from ltx_core.int8.relaunching import Launch
from ltx_core.int8.tiles import SHARED_BYTES, TABLES, WIDTHS, Capability, Table, Tile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from verify import command
from verify.campaigns.reports import hand_over, report_parser
from verify.upstream.provenance import provenance
from verify.vram.requests import require_place

_PTXAS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_FIRST_BLACKWELL = 100  # from there on Triton assembles by another ptxas
_USED = re.compile(r"Used (\d+) registers")
_SPILLED = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores")
_MATRIX = re.compile(r"\b(wgmma\.mma_async|mma\.sync|tcgen05\.mma)\S*\.(m\d+n\d+k\d+)")
_TYPES = {
    "x": "*bf16",
    "codes": "*i8",
    "scales": "*fp32",
    "row_stride": "i32",
    "weight": "*i8",
    "weight_scales": "*fp32",
    "bias": "*bf16",
    "out": "*bf16",
    "M": "i32",
    "N": "i32",
    "K": "i32",
}
_ANY = {"M"}
"""Arguments that are not multiples of 16."""
GROUP = 256


@dataclass(frozen=True, slots=True)
class Resources:
    """What one compiled kernel takes."""

    registers: int  # of a thread
    spilled_bytes: int  # of a thread, the stack included
    shared_bytes: int  # of a block of threads
    matrix: str | None  # its matrix instruction


def compiled(
    kernel: Any,
    launch: Launch,
    capability: Capability,
    types: Mapping[str, str] = _TYPES,
) -> Any:
    """`kernel` as Triton compiles it for a card of that capability: its `asm` and `metadata`."""
    constants = launch.constants
    names = kernel.arg_names
    source = ASTSource(
        fn=kernel,
        signature={name: "constexpr" if name in constants else types[name] for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={
            (at,): [["tt.divisibility", 16]]
            for at, name in enumerate(names)
            if name not in constants and name not in _ANY and "desc" not in types[name]
        },
    )
    target = GPUTarget("cuda", _architecture(capability), 32)
    return triton.compile(source, target=target, options=launch.options)


def _architecture(capability: Capability) -> int:
    major, minor = capability
    return int(major) * 10 + int(minor)


def _resources(made: Any, capability: Capability) -> Resources:
    said = _assembled(made.asm["ptx"], _architecture(capability))
    used, spilled = _USED.search(said), _SPILLED.search(said)
    assert used is not None, said
    assert spilled is not None, said
    matrix = _MATRIX.search(made.asm["ptx"])
    return Resources(
        registers=int(used[1]),
        spilled_bytes=max(map(int, spilled.groups())),
        shared_bytes=made.metadata.shared,
        matrix=f"{matrix[1]} {matrix[2]}" if matrix else None,
    )


def _assembled(ptx: str, architecture: int) -> str:
    """What ptxas says of it, which Triton keeps to itself."""
    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert target is not None
    program = _PTXAS / ("ptxas-blackwell" if architecture >= _FIRST_BLACKWELL else "ptxas")
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        done = subprocess.run(
            [program, "-v", f"--gpu-name={target[1]}", file.name, "-o", "/dev/null"],
            check=True,
            capture_output=True,
            text=True,
        )
    return done.stderr


def product_resources(capability: Capability, tile: Tile) -> Resources:
    """Of the product with a bias."""
    launch = product_launch(1, 4096, 4096, biased=True, tile=tile)
    types = dict(_TYPES)
    if tile.bulk:
        types["codes"] = f"tensordesc<i8[{tile.block_m},{tile.block_k}]>"
        types["weight"] = f"tensordesc<i8[{tile.block_n},{tile.block_k}]>"
    return _resources(compiled(product_kernel, launch, capability, types), capability)


def rows_resources(capability: Capability, table: Table, into: int, *, gelu: bool) -> Resources:
    """Of quantizing rows of so many bf16 values, rotated."""
    warps = table.row_warps(into)  # widths of LTX-2 are powers of 2
    launch = rows_launch(1, into, GROUP, gelu, warps)
    return _resources(compiled(rows_kernel, launch, capability), capability)


def products(capability: Capability) -> tuple[Tile, ...]:
    """Each tile of the table of a card."""
    return tuple(dict.fromkeys(line.tile for line in TABLES[capability].lines))


def rows_made() -> Iterator[tuple[int, bool]]:
    """Each width of rows, and whether it is a down projection's, which brings GELU along."""
    for into in sorted({into for _, into in WIDTHS}):
        yield into, into in {8192, 16384}


def table_for(capability: Capability) -> list[dict[str, Any]]:
    """A row a kernel."""
    rows = []
    for tile in products(capability):
        made = product_resources(capability, tile)
        rows.append({"tile": asdict(tile), **asdict(made)})
    for into, gelu in rows_made():
        made = rows_resources(capability, TABLES[capability], into, gelu=gelu)
        rows.append({"rows_of": into, "gelu": gelu, **asdict(made)})
    return rows


def failures(cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """The kernels that a card can't run well; `cards` is by capability, "8.6"."""
    wrong = []
    for name, rows in cards.items():
        major, minor = map(int, name.split("."))
        limit = SHARED_BYTES[major, minor]
        for row in rows:
            if row["spilled_bytes"]:
                wrong.append(f"{name}: {row} spills")
            if row["shared_bytes"] > limit:
                wrong.append(f"{name}: {row} takes more than {limit} bytes of shared memory")
    return wrong


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    return report_parser("verify.campaigns.int8_resources", __doc__, "table")


def run(args: argparse.Namespace) -> int:
    """Compile and write the table: 0, or 1 where a kernel does not fit its card."""
    require_place(args.out)
    cards = {f"{major}.{minor}": table_for((major, minor)) for major, minor in TABLES}
    report = {
        **provenance(args.base, "int8_resources"),
        "cards": cards,
        "failures": failures(cards),
    }
    return hand_over(report, args.out)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
