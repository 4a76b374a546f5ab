"""int8 products are measured by a program of the patched tree, in the base's environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.cli.bench_table import bench_lines
from ltx2_patcher.jobs.launch.bench import measure
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, OutsideError

TILE = {"block_m": 64, "block_n": 64, "block_k": 128, "warps": 4, "stages": 4, "bulk": True}
REPORT = {
    "card": "NVIDIA GeForce RTX 3090",
    "blocks": [{"video_tokens": 1536, "ms": {"bf16": 9.5, "fp8_cast": 9.75, "int8": 3.25}}],
    "tuned": [
        {"rows": 126, "width": [2048, 4096], "tile": TILE, "ms": 0.125}
        | {"most_rows": 256, "ours_ms": ours}
        for ours in (0.25, None)
    ],
    "kept": "/cache/table.json",
}


def write_program(store: Store, base: Base, source: str) -> None:
    """What stands in the place of the tree's own, which needs a card."""
    tree = checkout_path(store, base)
    (tree / "packages/ltx-pipelines/src").mkdir(parents=True, exist_ok=True)
    folder = tree / "packages/ltx-core/src/ltx_core/int8"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tuning.py").write_text(source)


def measured_by(store: Store, base: Base, source: str) -> tuple[list[str], list[str]]:
    """The lines of progress, and those of the tables."""
    write_program(store, base, source)
    told: list[str] = []
    done = measure(store, base, told.append, python=Path(sys.executable))
    return told, list(bench_lines(done))


def test_progress_and_tables_are_told(copied_store: Store, base: Base) -> None:
    source = f"print('compiling'); print('''{json.dumps(REPORT)}''')"
    told, lines = measured_by(copied_store, base, source)
    assert told == ["compiling"]
    assert lines[0].startswith("NVIDIA GeForce RTX 3090: ms")
    assert lines[2].split() == ["1536", "9.50", "9.75", "3.25"]
    products = [line.split() for line in lines[5:7]]
    assert [words[:6] for words in products] == [
        ["126", "2048", "x", "4096", "0.125", before] for before in ("0.250", "-")
    ]
    assert products[0][6:] == ["64x64x128,", "4", "warps,", "4", "stages,", "bulk"]
    assert "/cache/table.json" in lines[-1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; sys.exit('torch sees none')", "torch sees none"),
        ("raise RuntimeError('CUDA error: out of memory')", "out of memory"),
        ("print('compiling')", "compiling"),
    ],
)
def test_what_can_not_be_measured_is_one_sentence(
    copied_store: Store, base: Base, source: str, words: str
) -> None:
    with pytest.raises(OutsideError, match=f"could not be measured: .*{words}") as refused:
        measured_by(copied_store, base, source)
    assert "\n" not in str(refused.value)
    assert "compute capability 8.0" in refused.value.remedy


def test_a_tree_without_int8_is_told(copied_store: Store, base: Base) -> None:
    tree = checkout_path(copied_store, base)
    for package in ("core", "pipelines"):
        (tree / f"packages/ltx-{package}/src").mkdir(parents=True)
    with pytest.raises(ConflictError, match="no int8 products"):
        measure(copied_store, base, print, python=Path(sys.executable))
    assert [path.name for path in tree.iterdir()] == ["packages"]
