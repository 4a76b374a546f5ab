from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor, read_header
from safetensors.torch import save_file


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    tensors = {
        "a.weight": torch.zeros(3, 5, dtype=torch.bfloat16),
        "b": torch.zeros((), dtype=torch.uint8),
    }
    save_file(tensors, file, metadata={"format": "pt"})
    return file


def test_a_header_names_every_tensor_with_its_size(shard: Path) -> None:
    header = read_header(shard)
    assert header.metadata == {"format": "pt"}
    assert set(header.tensors) == {
        StoredTensor("a.weight", "BF16", (3, 5), 30, shard),
        StoredTensor("b", "U8", (), 1, shard),
    }
    assert {tensor.name: tensor.numel for tensor in header.tensors} == {"a.weight": 15, "b": 1}


@pytest.mark.parametrize("kept", [0, 5, 8, 40, -1])
def test_a_truncated_file_is_refused_whatever_is_left_of_it(shard: Path, kept: int) -> None:
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(GemmaRootError, match="download this file again"):
        read_header(shard)


def test_a_file_longer_than_its_header_says_is_refused(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + b"\0")
    with pytest.raises(GemmaRootError, match="where its header says"):
        read_header(shard)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\x0a" + bytes(7) + b"not json!!", "damaged"),
        (b"\x0b" + bytes(7) + b'{"a": null}', "damaged"),
        (b"\x02" + bytes(7) + b"[]", "damaged"),
    ],
)
def test_what_is_no_safetensors_file_is_told_apart(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(GemmaRootError, match=said):
        read_header(file)


def test_an_absent_file_is_an_error_of_the_root(tmp_path: Path) -> None:
    with pytest.raises(GemmaRootError, match="cannot be read"):
        read_header(tmp_path / "none.safetensors")
