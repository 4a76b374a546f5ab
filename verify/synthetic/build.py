"""Making a file set: shapes from upstream's configurators, built beside, renamed when complete."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ltx2_patcher.values.errors import InvalidError, OutsideError
from verify import unpatched
from verify.synthetic.architecture import (
    GemmaSize,
    Size,
    Variant,
    checkpoint_metadata,
    gemma_config,
    upsampler_metadata,
)
from verify.synthetic.completeness import faults, load_all, tensor_names
from verify.synthetic.files import FileSet
from verify.synthetic.language import write_language_files
from verify.synthetic.naming import file_names
from verify.synthetic.staging import staged
from verify.synthetic.tensorfile import Shape, Shapes, bytes_of, write_tensors
from verify.synthetic.weights import weight

GEMMA_DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


@dataclass(frozen=True, slots=True)
class GemmaStorage:
    """How a Gemma root is stored."""

    dtype: torch.dtype = torch.bfloat16
    shards: int = 2


def build_file_set(
    out: Path, variant: Variant, size: Size, gemma: GemmaStorage, *, seed: int
) -> FileSet:
    """A complete file set lies at `out`, which did not exist or was empty.

    Same arguments, same bytes.
    Raises: UsageError (`out` holds something), OutsideError (space, permissions), InvalidError
    (upstream's builders miss a tensor, or have no place for one).
    """
    with staged(out) as staging:
        files = FileSet(staging)
        _write_checkpoints(files, variant, size, seed)
        write_gemma_root(files.gemma_root, size.gemma, gemma, seed=seed)
        _prove(files)
    return FileSet(out)


def write_gemma_root(root: Path, size: GemmaSize, storage: GemmaStorage, *, seed: int) -> None:
    """A new folder `root` holds a Gemma 3 of `size` that upstream and transformers both open.

    Raises: OutsideError (space).
    """
    from ltx_core.text_encoders.gemma import GEMMA_LLM_KEY_OPS, GemmaTextEncoderConfigurator

    config = gemma_config(size)
    with _gemma(config):
        shapes = _shapes(_meta(GemmaTextEncoderConfigurator, {}), GEMMA_LLM_KEY_OPS)
    root.mkdir()
    shards = _split(shapes, storage.shards, storage.dtype)
    for name, part in shards.items():
        _save(root / name, part, storage.dtype, {"format": "pt"}, seed)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": bytes_of(shapes, storage.dtype)},
            "weight_map": {tensor: name for name, part in shards.items() for tensor in part},
        }
        _write_json(root / "model.safetensors.index.json", index)
    stored = {"torch_dtype": str(storage.dtype).removeprefix("torch.")}
    _write_json(root / "config.json", config | stored)
    write_language_files(root, config)


def _write_checkpoints(files: FileSet, variant: Variant, size: Size, seed: int) -> None:
    from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_RENAMING_MAP
    from ltx_core.model.transformer import LTXModelConfigurator
    from ltx_core.model.upsampler import LatentUpsamplerConfigurator

    metadata = checkpoint_metadata(variant, size)
    config = json.loads(metadata["config"])
    with _gemma(gemma_config(size.gemma)):
        shapes = {
            name: shape
            for configurator, ops in _components()
            for name, shape in _shapes(_meta(configurator, config), ops).items()
        }
    _save(files.checkpoint, shapes, torch.bfloat16, metadata, seed)

    metadata = upsampler_metadata(variant, size)
    upsampler = _meta(LatentUpsamplerConfigurator, json.loads(metadata["config"]))
    _save(files.spatial_upsampler, _shapes(upsampler, None), torch.bfloat16, metadata, seed)

    pairs = _lora_shapes(_meta(LTXModelConfigurator, config), size.lora_rank)
    names = file_names(LTXV_LORA_COMFY_RENAMING_MAP, pairs)
    lora = {names[key]: shape for key, shape in pairs.items()}
    _save(files.distilled_lora, lora, torch.bfloat16, {"format": "pt"}, seed)


def _components() -> list[tuple[Any, Any]]:
    """Each configurator that reads the checkpoint, with the SDOps of its tensors."""
    from ltx_core.model import audio_vae, transformer, video_vae
    from ltx_core.text_encoders import gemma

    return [
        (transformer.LTXModelConfigurator, transformer.LTXV_MODEL_COMFY_RENAMING_MAP),
        (gemma.EmbeddingsProcessorConfigurator, gemma.EMBEDDINGS_PROCESSOR_KEY_OPS),
        (video_vae.VideoEncoderConfigurator, video_vae.VAE_ENCODER_COMFY_KEYS_FILTER),
        (video_vae.VideoDecoderConfigurator, video_vae.VAE_DECODER_COMFY_KEYS_FILTER),
        (audio_vae.AudioEncoderConfigurator, audio_vae.AUDIO_VAE_ENCODER_COMFY_KEYS_FILTER),
        (audio_vae.AudioDecoderConfigurator, audio_vae.AUDIO_VAE_DECODER_COMFY_KEYS_FILTER),
        (audio_vae.VocoderConfigurator, audio_vae.VOCODER_COMFY_KEYS_FILTER),
    ]


def _lora_shapes(transformer: torch.nn.Module, rank: int) -> dict[str, Shape]:
    """A pair of factors for each Linear of the blocks: A is (rank, in), B is (out, rank).

    Named as in upstream's `fuse_loras._prepare_deltas`.
    """
    shapes: dict[str, Shape] = {}
    for name, module in transformer.named_modules():
        if name.startswith("transformer_blocks.") and isinstance(module, torch.nn.Linear):
            shapes[f"{name}.lora_A.weight"] = (rank, module.in_features)
            shapes[f"{name}.lora_B.weight"] = (module.out_features, rank)
    return shapes


def _gemma(config: Mapping[str, Any]) -> Any:
    from transformers import Gemma3Config

    return unpatched.gemma_of(Gemma3Config.from_dict(dict(config)))


def _meta(configurator: Any, config: Mapping[str, Any]) -> torch.nn.Module:
    with torch.device("meta"):
        model: torch.nn.Module = configurator.from_config(dict(config))
    return model


def _shapes(model: torch.nn.Module, ops: Any) -> dict[str, Shape]:
    state = model.state_dict()
    return {name: tuple(state[key].shape) for key, name in file_names(ops, state).items()}


def _split(shapes: Shapes, shards: int, dtype: torch.dtype) -> dict[str, Shapes]:
    """`shapes` in order over `shards` files of about the same bytes, named as transformers does.

    Fewer files where one tensor fills the room of several.
    """
    if shards == 1:
        return {"model.safetensors": shapes}
    total, so_far = bytes_of(shapes, dtype), 0
    parts: list[dict[str, Shape]] = [{} for _ in range(shards)]
    for name, shape in shapes.items():
        parts[min(so_far * shards // total, shards - 1)][name] = shape
        so_far += bytes_of({name: shape}, dtype)
    filled = [part for part in parts if part]
    names = [f"model-{i:05}-of-{len(filled):05}.safetensors" for i in range(1, len(filled) + 1)]
    return dict(zip(names, filled, strict=True))


def _save(
    path: Path, shapes: Shapes, dtype: torch.dtype, metadata: Mapping[str, str], seed: int
) -> None:
    needed, free = bytes_of(shapes, dtype), shutil.disk_usage(path.parent).free
    if needed >= free:
        raise OutsideError(
            f"{path.parent} has {free >> 20} MiB free and {path.name} takes "
            f"{(needed >> 20) + 1} MiB",
            remedy="free some space, or name a folder on another disk",
        )
    write_tensors(path, shapes, dtype, metadata, partial(weight, dtype=dtype, seed=seed))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _prove(files: FileSet) -> None:
    from transformers import Gemma3Config

    with unpatched.gemma_of(Gemma3Config.from_pretrained(files.gemma_root)):
        loads = load_all(files)
    if wrong := faults(loads, tensor_names(files.root.rglob("*.safetensors"))):
        raise InvalidError(
            f"upstream's builders and the file set differ: {'; '.join(wrong[:5])}",
            remedy="check that the ltx_core on the path is a supported base",
        )
