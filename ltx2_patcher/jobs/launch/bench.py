"""Measure int8 products on the card at hand, in a base's environment; the tiles found are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.proc import inherited_variables, watch
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.jobs.launch.pipelines import source_paths
from ltx2_patcher.jobs.launch.script import script_variables
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, OutsideError

_MODULE = "ltx_core.int8.tuning"
_FILE = Path("packages/ltx-core/src") / Path(*_MODULE.split(".")).with_suffix(".py")


@dataclass(frozen=True, slots=True)
class Block:
    """What the linear layers of one transformer block take on the card."""

    video_tokens: int
    ms: Mapping[str, float]  # by "bf16", "fp8_cast" and "int8"


@dataclass(frozen=True, slots=True)
class Product:
    """One product of int8, and the tile that was the fastest for it."""

    rows: int
    width: tuple[int, int]  # (out, in)
    tile: Mapping[str, int]  # block_m, block_n, block_k, warps, stages, bulk
    ms: float
    ours_ms: float | None  # with the tile that was taken before; None where it does not run here


@dataclass(frozen=True, slots=True)
class Bench:
    """A measurement of a card."""

    card: str
    blocks: tuple[Block, ...]
    products: tuple[Product, ...]
    kept: Path  # where scripts take the tiles from, from now on


def measure(
    store: Store,
    base: Base,
    progress: Callable[[str], None],
    *,
    python: Path | None = None,
    gpu: int | None = None,
) -> Bench:
    """Find the fastest tiles of int8 products on the card, about a minute, and keep them.

    Raises: ConflictError without a checkout that has int8 products, or an environment; UsageError
    for a card that is none; OutsideError where nothing can be measured.
    """
    tree = checkout_path(store, base)
    if not (tree / _FILE).is_file():
        raise ConflictError(
            f"{tree} has no int8 products to measure",
            remedy="run `make patch`, and name base 1.0.0 or 1.2.0",
        )
    chosen = None if gpu is None else machine.gpu(gpu)
    variables = script_variables(inherited_variables(), source_paths(tree), chosen)
    program = str((python or environment_python(store, base)).absolute())
    report: list[str] = []

    def each_line(line: str) -> None:
        if line.startswith("{"):
            report.append(line)
        else:
            progress(line)

    done = watch((program, "-m", _MODULE), each_line, env=variables)
    if done.code or not report:
        raise OutsideError(
            f"int8 products could not be measured: {done.complaint}",
            remedy="run it on a card of compute capability 8.0 or more that does nothing else; "
            "`ltx2-patcher doctor` checks card and environment",
        )
    return _parsed(report[-1])


def _parsed(report: str) -> Bench:
    told = json.loads(report)
    return Bench(
        card=told["card"],
        blocks=tuple(Block(one["video_tokens"], one["ms"]) for one in told["blocks"]),
        products=tuple(
            Product(
                rows=one["rows"],
                width=(one["width"][0], one["width"][1]),
                tile=one["tile"],
                ms=one["ms"],
                ours_ms=one["ours_ms"],
            )
            for one in told["tuned"]
        ),
        kept=Path(told["kept"]),
    )
