"""Safetensors files with a real header and data that takes no space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from ltx2_patcher.rules.architecture import gemma_keys

_BYTES = {"U8": 1, "I8": 1, "F8_E4M3": 1, "BF16": 2, "F32": 4}
Spec = Mapping[str, tuple[str, tuple[int, ...]]]

RELEASED = json.loads((Path(__file__).parent / "rules/released.json").read_text())
"""Names (by digest) and configurations of the released models."""

TINY_GEMMA: dict[str, object] = {
    "model_type": "gemma3",
    "text_config": {"hidden_size": 64, "num_hidden_layers": 2},
    "vision_config": {"num_hidden_layers": 1},
}


def header(tensors: Spec, metadata: Mapping[str, str] | None = None) -> tuple[bytes, int]:
    """The header's JSON, and how many bytes of data it promises."""
    described: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + prod(shape) * _BYTES[dtype]
        described[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    return json.dumps(described).encode(), end


def write(path: Path, tensors: Spec, metadata: Mapping[str, str] | None = None) -> Path:
    """A file whose data is a hole."""
    text, size = header(tensors, metadata)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    return path


def plain(names: Iterable[str], shape: tuple[int, ...] = (2, 2)) -> Spec:
    """Every name as a small bf16 tensor."""
    return dict.fromkeys(sorted(names), ("BF16", shape))


def write_checkpoint(path: Path, tensors: Spec, config: Mapping[str, object]) -> Path:
    return write(path, tensors, {"config": json.dumps(config), "model_version": "2.0.0"})


def write_gemma(root: Path, tensors: Spec | None = None, **config: object) -> Path:
    """A tiny Gemma root in two shards, complete unless `tensors` say otherwise."""
    root.mkdir(parents=True)
    held = dict(tensors if tensors is not None else plain(gemma_keys(TINY_GEMMA)))
    names = list(held)
    half = len(names) // 2
    shards = {
        "model-00001-of-00002.safetensors": names[:half],
        "model-00002-of-00002.safetensors": names[half:],
    }
    for shard, part in shards.items():
        write(root / shard, {name: held[name] for name in part})
    placed = {name: shard for shard, part in shards.items() for name in part}
    (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    (root / "config.json").write_text(json.dumps({**TINY_GEMMA, **config}))
    (root / "tokenizer.model").write_bytes(b"")
    (root / "preprocessor_config.json").write_text("{}")
    return root
