"""How much anonymous memory a load takes at its peak, seen from outside the process that loads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import NF4
from ltx_core.text_encoders.gemma.quantized.root import read_shards

from tests.upstream.gemma_files import GemmaSize, random_model, write_root
from tests.upstream.gemma_loads import WAYS, watch
from tests.upstream.overlay.conftest import CPU

MIB = 1024**2
SLACK_BYTES = 100 * MIB
# 290 MiB in bf16, 96 of them the embedding.
SIZE = GemmaSize(
    hidden=1024, layers=6, heads=8, kv_heads=4, head_dim=128, intermediate=4096, vocabulary=49152
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("memory")
    model = random_model(SIZE, dtype=torch.bfloat16)
    roots = {"bf16": write_root(folder / "bf16", model, shard_size="100MB")}
    roots["f32"] = write_root(folder / "f32", model.float(), shard_size="200MB")
    del model
    roots["4bit"] = convert_root(roots["bf16"], folder / "4bit", NF4, CPU).output
    return roots


def largest_bytes(root: Path) -> int:
    sizes: list[int] = [tensor.nbytes for tensor in read_shards(root).tensors]
    return max(sizes)


@pytest.mark.parametrize(
    ("source", "way"),
    [
        pytest.param("f32", "streaming-8bit", marks=pytest.mark.slow),
        ("bf16", "streaming-4bit"),
        pytest.param("4bit", "prequantized", marks=pytest.mark.slow),
    ],
)
def test_streaming_stays_within_its_bound(roots: dict[str, Path], source: str, way: str) -> None:
    load = watch(way, roots[source], os.environ)
    assert load.peak_bytes <= load.model_bytes + 2 * largest_bytes(roots[source]) + SLACK_BYTES


@pytest.mark.slow
def test_streaming_takes_less_than_the_other_ways(
    roots: dict[str, Path],
    record_property: Callable[[str, object], None],
) -> None:
    root = roots["f32"]  # of bf16 shards, what is loaded first stays mapped and does not count
    streaming, loading_first, from_pretrained = (
        watch(f"{way}-4bit", root, os.environ) for way in WAYS
    )
    record_property(
        "streaming, load-then-quantize, from_pretrained",
        [streaming, loading_first, from_pretrained],
    )
    assert streaming.peak_bytes <= streaming.model_bytes + 2 * largest_bytes(root) + SLACK_BYTES
    assert streaming.peak_bytes < min(from_pretrained.peak_bytes, loading_first.peak_bytes)
