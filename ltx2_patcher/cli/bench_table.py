"""A measurement of int8 products, as lines of two tables."""

from __future__ import annotations

from collections.abc import Iterator

from ltx2_patcher.jobs.launch.bench import Bench

_WAYS = {"bf16": "bf16", "fp8_cast": "fp8-cast", "int8": "int8"}


def bench_lines(bench: Bench) -> Iterator[str]:
    """What a block takes by each way, then which tile is the fastest for each product."""
    yield f"{bench.card}: ms of the linear layers of one block"
    yield f"{'video tokens':>12}" + "".join(f"{name:>10}" for name in _WAYS.values())
    for block in bench.blocks:
        yield f"{block.video_tokens:>12}" + "".join(f"{block.ms[way]:>10.2f}" for way in _WAYS)
    yield ""
    yield f"{'rows':>8}{'out x in':>14}{'ms':>9}{'before':>9}  tile"
    for one in bench.products:
        before = "-" if one.ours_ms is None else f"{one.ours_ms:.3f}"
        block_m, block_n, block_k, warps, stages, bulk = one.tile.values()
        yield (
            f"{one.rows:>8}{one.width[0]:>7} x{one.width[1]:>5}{one.ms:>9.3f}{before:>9}"
            f"  {block_m}x{block_n}x{block_k}, {warps} warps, {stages} stages"
            f"{', bulk' if bulk else ''}"
        )
    yield ""
    yield f"kept in {bench.kept}; scripts take these tiles from now on"
