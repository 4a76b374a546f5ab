from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ltx_core.text_encoders.gemma.quantized.header import read_header
from ltx_core.text_encoders.gemma.quantized.shard_writer import ShardWriter
from safetensors.torch import load_file

dtypes = st.sampled_from(
    [torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.uint8, torch.int64]
)
shapes = st.lists(st.integers(0, 7), max_size=4)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name != "__metadata__"
)


@given(st.dictionaries(names, st.tuples(shapes, dtypes), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_safetensors_reads_back_what_was_written(
    tmp_path: Path, described: dict[str, tuple[list[int], torch.dtype]]
) -> None:
    tensors = {n: torch.randint(0, 100, shape).to(dtype) for n, (shape, dtype) in described.items()}
    file = tmp_path / "model.safetensors"
    with ShardWriter(file, list(tensors)) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    read = load_file(file)
    assert read.keys() == tensors.keys()
    assert all(
        torch.equal(read[n], tensors[n]) and read[n].dtype == tensors[n].dtype for n in tensors
    )
    assert {tensor.name for tensor in read_header(file).tensors} == set(tensors)


def test_every_tensor_is_aligned_to_its_dtype(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    tensors = {
        "odd": torch.zeros(3, dtype=torch.uint8),
        "wide": torch.zeros(3),
        "even": torch.zeros(8),
    }
    with ShardWriter(file, list(tensors)) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    starts = {name: header[name]["data_offsets"][0] for name in tensors}
    assert starts == {"even": 0, "wide": 32, "odd": 44}
    assert (8 + length) % 8 == 0


def write_two(writer: ShardWriter) -> None:
    writer.add("a", torch.zeros(8))
    raise AssertionError("the second could not be made")


def test_an_interrupted_file_is_no_safetensors_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with pytest.raises(AssertionError), ShardWriter(file, ["a"]) as writer:
        write_two(writer)
    assert file.read_bytes()[:8] == bytes(8)
