"""What loading a Gemma takes, way by way on the same files.

On the CPU: memory and ratios mean something, seconds only beside each other. Exit 1 where streaming
does not take the least memory.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from tests.upstream.gemma_files import GemmaSize, random_model, write_root
from tests.upstream.gemma_loads import WAYS, GemmaLoad, watch

MIB = 1 << 20
ROUNDS = 3
# Upstream's own 8-bit Gemma; its wheels hold no trainer.
TRAINER = ("trainer",) if importlib.util.find_spec("ltx_trainer") else ()
# 290 MiB in bf16, stored in float32 and in two shards, so that no way can live on mapped pages.
SIZE = GemmaSize(
    hidden=1024, layers=6, heads=8, kv_heads=4, head_dim=128, intermediate=4096, vocabulary=49152
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = write_root(
            Path(folder) / "gemma", random_model(SIZE, dtype=torch.float32), shard_size="300MB"
        )
        loads = {
            f"{way}-{bits}": _median(f"{way}-{bits}", root)
            for bits in ("4bit", "8bit")
            for way in (*WAYS, *(TRAINER if bits == "8bit" else ()))
        }
    table = Table("way", "peak MiB", "model MiB", "s", "peak / streaming", "s / streaming")
    for way, load in loads.items():
        streaming = loads[f"streaming-{way.rpartition('-')[2]}"]
        table.add_row(
            way,
            f"{load.peak_bytes / MIB:.0f}",
            f"{load.model_bytes / MIB:.0f}",
            f"{load.wall_s:.2f}",
            f"{load.peak_bytes / streaming.peak_bytes:.2f}",
            f"{load.wall_s / streaming.wall_s:.2f}",
        )
    Console().print(table)
    least = {
        bits: min((w for w in loads if w.endswith(bits)), key=lambda w: loads[w].peak_bytes)
        for bits in ("4bit", "8bit")
    }
    return int(any(not way.startswith("streaming") for way in least.values()))


def _median(way: str, root: Path) -> GemmaLoad:
    """The load of median time."""
    loads = [watch(way, root, os.environ) for _ in range(ROUNDS)]
    middle = statistics.median_low([load.wall_s for load in loads])
    return next(load for load in loads if load.wall_s == middle)


if __name__ == "__main__":
    sys.exit(main())
