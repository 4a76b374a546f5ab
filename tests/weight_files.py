"""Safetensors files with a real header and data that takes no space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from ltx2_patcher.rules.models.gemma_architecture import gemma_keys

_BYTES = {"U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "BF16": 2, "F32": 4}
Spec = Mapping[str, tuple[str, tuple[int, ...]]]

RELEASED = json.loads((Path(__file__).parent / "released.json").read_text())
"""Names (by digest) and configurations of the released models."""

TINY_GEMMA: dict[str, object] = {
    "model_type": "gemma3",
    "text_config": {"hidden_size": 64, "num_hidden_layers": 2},
    "vision_config": {"num_hidden_layers": 1},
}

TINY_GEMMA_4: dict[str, object] = {
    "model_type": "gemma4_unified",
    "gemma_version": "a version",
    "text_config": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"],
        "attention_k_eq_v": True,
    },
    "vision_config": {"mm_embed_dim": 64},
    "audio_config": {"audio_embed_dim": 64},
}
BESIDE_GEMMA = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)
_PACKED = {
    # As upstream packs a Gemma 4 (400fd31, gemma_assets.py).
    "model.language_model.": "model.",
    "model.vision_embedder.": "vision_model.",
    "model.embed_vision.": "multi_modal_projector.",
    "model.embed_audio.": "audio_projector.",
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


def lora_of(*modules: str, widths: tuple[int, int] = (2, 2), rank: int = 1) -> Spec:
    """The pairs of a LoRA as upstream reads them."""
    given, taken = widths
    return {
        f"{module}.lora_{name}.weight": ("BF16", shape)
        for module in modules
        for name, shape in (("A", (rank, taken)), ("B", (given, rank)))
    }


def write_checkpoint(path: Path, tensors: Spec, config: Mapping[str, object]) -> Path:
    return write(path, tensors, {"config": json.dumps(config), "model_version": "2.0.0"})


def write_gemma(
    root: Path,
    tensors: Spec | None = None,
    model: Mapping[str, object] = TINY_GEMMA,
    **config: object,
) -> Path:
    """A tiny Gemma root in two shards, complete unless `tensors` say otherwise."""
    root.mkdir(parents=True)
    held = dict(tensors if tensors is not None else plain(gemma_keys(model)))
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
    (root / "config.json").write_text(json.dumps({**model, **config}))
    for name in BESIDE_GEMMA:
        (root / name).write_text("{}")
    return root


def packed_gemma(**config: object) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
    """The tensors and the metadata of a tiny Gemma 4 in one file, with its text projection."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name in gemma_keys(TINY_GEMMA_4):
        start = next(published for published in _PACKED if name.startswith(published))
        tensors[_PACKED[start] + name.removeprefix(start)] = ("BF16", (2, 2))
    for side in ("video", "audio"):
        tensors[f"text_embedding_projection.{side}_aggregate_embed.weight"] = ("BF16", (4, 192))
        tensors[f"text_embedding_projection.{side}_aggregate_embed.bias"] = ("BF16", (4,))
    for name in ("tokenizer_json", "hf_asset__tokenizer_config.json"):
        tensors[name] = ("U8", (7,))
    metadata = {
        "gemma_config": json.dumps({**TINY_GEMMA_4, **config}),
        "processor_config.json": "{}",
    }
    return tensors, metadata


def write_marked(
    path: Path,
    tensors: Spec,
    marks: Mapping[str, Mapping[str, object]],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """As `write`, with a tensor of ComfyUI's beside each layer of `marks` that holds its JSON."""
    texts = {f"{layer}.comfy_quant": json.dumps(mark).encode() for layer, mark in marks.items()}
    before: Spec = {name: ("U8", (len(text),)) for name, text in texts.items()}
    described, size = header({**before, **tensors}, metadata)
    with path.open("wb") as file:
        file.write(len(described).to_bytes(8, "little") + described + b"".join(texts.values()))
        file.truncate(8 + len(described) + size)
    return path


def write_diffusers(root: Path, tensors: Spec, name: str = "LTX2VideoTransformer3DModel") -> Path:
    """A pipeline's folder with its transformer in two shards."""
    folder = root / "transformer"
    folder.mkdir(parents=True)
    (root / "model_index.json").write_text(json.dumps({"_class_name": "LTX2Pipeline"}))
    (folder / "config.json").write_text(json.dumps({"_class_name": name}))
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        shard = folder / f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
        write(shard, {name: tensors[name] for name in part})
    return root
