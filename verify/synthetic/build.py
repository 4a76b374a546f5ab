"""Making a file set: built beside its place, proved, and renamed when complete."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from ltx2_patcher.values.errors import InvalidError
from verify import unpatched
from verify.synthetic.architecture import (
    Config,
    GemmaSize,
    Size,
    Variant,
    checkpoint_metadata,
    upsampler_metadata,
)
from verify.synthetic.completeness import faults, load_all, tensor_names
from verify.synthetic.files import FileSet, Layout
from verify.synthetic.gemma_root import GemmaStorage, write_gemma_root, write_packed
from verify.synthetic.parts import checkpoint_shapes, lora_shapes, upsampler_shapes
from verify.synthetic.staging import staged
from verify.synthetic.tensorfile import Shapes
from verify.synthetic.weights import weight, write_weights

# The files of a split set, beside Gemma's: what each holds and what of the configuration it states.
_SPLIT: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "transformer": (("model.diffusion_model.",), ("transformer", "scheduler")),
    "video_vae": (("vae.",), ("vae",)),
    "audio_vae": (("audio_vae.", "vocoder."), ("audio_vae", "vocoder")),
    "duration_head": (("duration_head.",), ("transformer",)),
}
_BARE = {"video_vae": "vae."}  # a prefix that a monolith has and a file of its own has not
_TEXT_PROJECTION = "text_embedding_projection."  # Gemma's file holds it in a split set


def build_file_set(
    files: FileSet,
    variant: Variant,
    size: Size,
    gemma: GemmaSize,
    storage: GemmaStorage,
    *,
    seed: int,
) -> None:
    """A complete file set lies at `files`, whose root did not exist or was empty.

    Same arguments, same bytes.
    Raises: UsageError (the root holds something), OutsideError (space, permissions), InvalidError
    (upstream's builders miss a tensor, or have no place for one).
    """
    with staged(files.root) as staging:
        built = FileSet(staging, files.layout)
        write_gemma_root(built.gemma_root, gemma, storage, seed=seed)
        metadata = checkpoint_metadata(variant, size, gemma.family)
        with unpatched.gemma_of(built.gemma_root):
            shapes = checkpoint_shapes(variant, metadata, built.gemma_root)
        if built.layout is Layout.MONOLITH:
            _save(built.checkpoint, shapes, metadata, seed)
        else:
            _write_split(built, shapes, metadata, seed)
        lora = lora_shapes(metadata, size.lora_rank)
        _save(built.distilled_lora, lora, {"format": "pt"}, seed)
        metadata = upsampler_metadata(variant, size)
        _save(built.spatial_upsampler, upsampler_shapes(metadata), metadata, seed)
        _prove(built)


def _write_split(files: FileSet, shapes: Shapes, metadata: Config, seed: int) -> None:
    """Each component lies in its file, with the weights of the monolith, and Gemma, packed, too."""
    for name, (prefixes, stated) in _SPLIT.items():
        bare = _BARE.get(name, "")
        held = {
            key.removeprefix(bare): shape
            for key, shape in shapes.items()
            if key.startswith(prefixes)
        }
        config = {key: metadata["config"][key] for key in stated}
        if held:
            path = getattr(files, name)
            _save(path, held, {**metadata, "config": config}, seed, drawn_as=bare)
    projection = {
        key: weight(key, shape, dtype=torch.bfloat16, seed=seed)
        for key, shape in shapes.items()
        if key.startswith(_TEXT_PROJECTION)
    }
    write_packed(files.text_encoder, files.gemma_root, projection)
    shutil.rmtree(files.gemma_root)


def _save(path: Path, shapes: Shapes, metadata: Config, seed: int, *, drawn_as: str = "") -> None:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    write_weights(path, shapes, torch.bfloat16, texts, seed, drawn_as=drawn_as)


def _prove(files: FileSet) -> None:
    with unpatched.gemma_of(files.text_encoder):
        loads = load_all(files)
    if wrong := faults(loads, tensor_names(files.root.rglob("*.safetensors"))):
        raise InvalidError(
            f"upstream's builders and the file set differ: {'; '.join(wrong[:5])}",
            remedy="check that the ltx_core on the path is a supported base",
        )
