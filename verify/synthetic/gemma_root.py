"""A Gemma as upstream takes it: a root that transformers opens too, or that root in one file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from verify.synthetic.architecture import GemmaSize, gemma_config
from verify.synthetic.language import write_language_files
from verify.synthetic.parts import gemma_shapes
from verify.synthetic.tensorfile import Kinds, bytes_of, of_dtype, write_tensors
from verify.synthetic.weights import write_weights

GEMMA_DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


@dataclass(frozen=True, slots=True)
class GemmaStorage:
    """How a Gemma root is stored."""

    dtype: torch.dtype = torch.bfloat16
    shards: int = 2


def write_gemma_root(
    root: Path, size: GemmaSize, storage: GemmaStorage, *, seed: int, device: str = "cpu"
) -> None:
    """A new folder `root` holds a Gemma of `size` that upstream and transformers both open.

    Raises: OutsideError (space).
    """
    config = gemma_config(size)
    shapes = gemma_shapes(size.family, config)
    root.mkdir()
    shards = _split(of_dtype(shapes, storage.dtype), storage.shards)
    for name, part in shards.items():
        held = {key: shapes[key] for key in part}
        write_weights(root / name, held, storage.dtype, {"format": "pt"}, seed, device=device)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": bytes_of(of_dtype(shapes, storage.dtype))},
            "weight_map": {tensor: name for name, part in shards.items() for tensor in part},
        }
        _write_json(root / "model.safetensors.index.json", index)
    stored = {"torch_dtype": str(storage.dtype).removeprefix("torch.")}
    _write_json(root / "config.json", config | stored)
    write_language_files(root, size.family, config)


def write_packed(path: Path, root: Path, projection: Mapping[str, torch.Tensor]) -> None:
    """A new file `path` holds all that `root` does, as upstream packs it, and the tensors of
    `projection`, by name in the file.

    Raises: OSError.
    """
    from ltx_core.text_encoders.gemma import gemma_assets

    # Upstream's own writer orders its metadata by a random hash.
    tensors, metadata = gemma_assets.build_text_encoder_tensors_from_gemma_root(
        str(root), dict(projection)
    )
    write_tensors(path, tensors, metadata, tensors.__getitem__)


def _split(kinds: Kinds, shards: int) -> dict[str, Kinds]:
    """`kinds` in order over `shards` files of about the same bytes, named as transformers does.

    Fewer files where one tensor fills the room of several.
    """
    if shards == 1:
        return {"model.safetensors": kinds}
    total, so_far = bytes_of(kinds), 0
    parts: list[dict[str, torch.Tensor]] = [{} for _ in range(shards)]
    for name, kind in kinds.items():
        parts[min(so_far * shards // total, shards - 1)][name] = kind
        so_far += kind.nbytes
    filled = [part for part in parts if part]
    names = [f"model-{i:05}-of-{len(filled):05}.safetensors" for i in range(1, len(filled) + 1)]
    return dict(zip(names, filled, strict=True))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
