"""A file set that is to be: its files, their tensors, their bytes. Nothing is written for it."""

import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ltx2_patcher.values.errors import InvalidError
from verify.synthetic import published
from verify.synthetic.architecture import (
    FULL,
    Blocks,
    Config,
    GemmaSize,
    Size,
    Variant,
    checkpoint_metadata,
    upsampler_metadata,
)
from verify.synthetic.contents import Content, PlannedFile, Texts
from verify.synthetic.files import FileSet, Layout, Part
from verify.synthetic.gemma_root import GemmaStorage, PlannedRoot, packed, plan_gemma_root
from verify.synthetic.parts import checkpoint_shapes, lora_shapes, upsampler_shapes
from verify.synthetic.storage import stored
from verify.synthetic.tensorfile import Kind, Shapes
from verify.synthetic.weights import Drawn
from verify.upstream import unpatched

# The files of a split set, beside Gemma's: what each holds and what of the configuration it states.
_SPLIT: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "transformer": (("model.diffusion_model.",), ("transformer", "scheduler")),
    "video_vae": (("vae.",), ("vae",)),
    "audio_vae": (("audio_vae.", "vocoder."), ("audio_vae", "vocoder")),
    "duration_head": (("duration_head.",), ("transformer",)),
}
_BARE = {"video_vae": "vae."}  # a prefix that a monolith has and a file of its own has not
_TEXT_PROJECTION = "text_embedding_projection."  # Gemma's file holds it in a split set

_FILES = FileSet(Path())
_SPLIT_FILES = FileSet(Path(), Layout.SPLIT)


@dataclass(frozen=True, slots=True)
class PlannedFileSet:
    """Every file of a file set."""

    files: tuple[PlannedFile, ...]
    texts: Texts  # Gemma's; a split set holds them in one of its files

    def nbytes(self, only: Collection[Part] = tuple(Part)) -> int:
        """What these parts take on a disk."""
        texts = self.texts.nbytes if Part.GEMMA in only else 0
        return texts + sum(file.nbytes for file in self.files if file.part in only)


def plan_file_set(
    layout: Layout,
    variant: Variant,
    size: Size,
    gemma: GemmaSize,
    storage: GemmaStorage,
    blocks: Blocks,
) -> PlannedFileSet:
    """A whole file set of `variant`, as upstream's own models want it.

    Raises: InvalidError (at true size, a tensor is not as published).
    """
    root = plan_gemma_root(_FILES.gemma_root, gemma, storage)
    metadata = checkpoint_metadata(variant, size, gemma.family)
    shapes = _checkpoint_shapes(variant, metadata, root)
    if size == FULL:
        _require_published(published.checkpoint_differences(variant, shapes))
    if gemma == FULL.gemma[gemma.family]:
        _require_published(published.gemma_differences(gemma.family, root.shapes))
    contents = stored(shapes, blocks, variant)
    lora = lora_shapes(metadata, size.lora_rank)
    upsampler = upsampler_metadata(variant, size)
    files = [
        _file(_FILES.distilled_lora, Part.LORA, _in_bf16(lora), {"format": "pt"}),
        _file(
            _FILES.spatial_upsampler,
            Part.UPSAMPLER,
            _in_bf16(upsampler_shapes(upsampler)),
            upsampler,
        ),
    ]
    if layout is Layout.MONOLITH:
        checkpoint = _file(_FILES.checkpoint, Part.CHECKPOINT, contents, metadata)
        return PlannedFileSet((checkpoint, *root.shards, *files), root.texts)
    projection = {k: v for k, v in contents.items() if k.startswith(_TEXT_PROJECTION)}
    text_encoder = packed(root, _SPLIT_FILES.text_encoder, projection)
    return PlannedFileSet((*_components(contents, metadata), text_encoder, *files), Texts({}))


def _checkpoint_shapes(variant: Variant, metadata: Config, root: PlannedRoot) -> Shapes:
    """Upstream reads Gemma's sizes from a root; its weights need not be there."""
    with tempfile.TemporaryDirectory() as scratch:
        root.sketch(Path(scratch))
        gemma = FileSet(Path(scratch)).gemma_root
        with unpatched.gemma_of(gemma):
            return checkpoint_shapes(variant, metadata, gemma)


def _components(contents: Mapping[str, Content], metadata: Config) -> list[PlannedFile]:
    """Each component in its file, with the weights of the monolith."""
    files = []
    for name, (prefixes, sections) in _SPLIT.items():
        bare = _BARE.get(name, "")
        held = {
            key.removeprefix(bare): content
            for key, content in contents.items()
            if key.startswith(prefixes)
        }
        if held:
            stated = {key: metadata["config"][key] for key in sections}
            path = getattr(_SPLIT_FILES, name)
            files.append(_file(path, Part.CHECKPOINT, held, {**metadata, "config": stated}))
    return files


def _in_bf16(shapes: Shapes) -> dict[str, Content]:
    return {name: Drawn(name, Kind(shape, torch.bfloat16)) for name, shape in shapes.items()}


def _file(path: Path, part: Part, contents: Mapping[str, Content], metadata: Config) -> PlannedFile:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    return PlannedFile(path, part, contents, texts)


def _require_published(differences: list[str]) -> None:
    if differences:
        raise InvalidError(
            f"upstream wants {len(differences)} tensors that are not as published: "
            f"{'; '.join(differences[:5])}",
            remedy="check that the ltx_core on the path is a supported base",
        )
