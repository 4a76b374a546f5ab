"""How much anonymous memory a load takes at its peak, seen from outside the process that loads."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
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
def root(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The model as it is stored: in "bf16", "f32" or "4bit"; each is made once."""
    folder = tmp_path_factory.mktemp("memory")

    @cache
    def made(stored: str) -> Path:
        if stored == "4bit":
            quantized: Path = convert_root(made("bf16"), folder / "4bit", NF4, CPU).output
            return quantized
        dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[stored]
        shard_size = {"bf16": "100MB", "f32": "200MB"}[stored]
        return write_root(folder / stored, random_model(SIZE, dtype=dtype), shard_size=shard_size)

    return made


def largest_bytes(root: Path) -> int:
    sizes: list[int] = [tensor.nbytes for tensor in read_shards(root).tensors]
    return max(sizes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "way"),
    [("f32", "streaming-8bit"), ("bf16", "streaming-4bit"), ("4bit", "prequantized")],
)
def test_streaming_stays_within_its_bound(
    root: Callable[[str], Path], source: str, way: str
) -> None:
    load = watch(way, root(source), os.environ)
    assert load.peak_bytes <= load.model_bytes + 2 * largest_bytes(root(source)) + SLACK_BYTES


@pytest.mark.slow
def test_streaming_takes_less_than_the_other_ways(
    root: Callable[[str], Path],
    record_property: Callable[[str, object], None],
) -> None:
    f32 = root("f32")  # of bf16 shards, what is loaded first stays mapped and does not count
    streaming, loading_first, from_pretrained = (
        watch(f"{way}-4bit", f32, os.environ) for way in WAYS
    )
    record_property(
        "streaming, load-then-quantize, from_pretrained",
        [streaming, loading_first, from_pretrained],
    )
    assert streaming.peak_bytes <= streaming.model_bytes + 2 * largest_bytes(f32) + SLACK_BYTES
    assert streaming.peak_bytes < min(from_pretrained.peak_bytes, loading_first.peak_bytes)
