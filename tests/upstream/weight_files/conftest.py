"""A tiny LTX-2, whole and in the pieces that people have it in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX, Part, part_of
from safetensors.torch import load_file, save_file

from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.cases import WITH_GEMMA_3
from verify.synthetic.files import FileSet

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TinyModel:
    """A checkpoint of upstream's, read. Not to be changed."""

    files: FileSet
    tensors: Tensors
    metadata: dict[str, str]

    def of(self, *parts: Part) -> Tensors:
        """The tensors of these parts, by their own names."""
        return {name: tensor for name, tensor in self.tensors.items() if part_of(name) in parts}

    @property
    def block_weights(self) -> Tensors:
        """Those that every layout stores in fewer bits, found by their shapes and places."""
        return {
            name: tensor
            for name, tensor in self.of(Part.TRANSFORMER).items()
            if ".transformer_blocks." in name
            and name.endswith(".weight")
            and tensor.ndim == 2
            and "to_gate_logits" not in name
        }

    def split(self, folder: Path) -> dict[Part, Path]:
        """The parts as files for ComfyUI: prefixes left out where its own files leave them out."""
        folder.mkdir()
        files = {
            "transformer": (Part.TRANSFORMER,),
            "text": (Part.CONNECTORS, Part.PROJECTION),
            "video_vae": (Part.VIDEO_VAE,),
            "audio_vae": (Part.AUDIO_VAE, Part.VOCODER),
        }
        paths = {}
        for name, parts in files.items():
            path = folder / f"{name}.safetensors"
            tensors = {
                tensor.removeprefix(TRANSFORMER_PREFIX).removeprefix("vae."): value
                for tensor, value in self.of(*parts).items()
            }
            save_file(tensors, path, self.metadata if name != "text" else None)
            paths.update(dict.fromkeys(parts, path))
        return paths


@pytest.fixture(scope="session")
def model(fileset: FileSets) -> TinyModel:
    """The newest of those that need a Gemma 3, with two blocks."""
    files = fileset(WITH_GEMMA_3)
    metadata = read_header(files.checkpoint).metadata
    return TinyModel(files, load_file(files.checkpoint), metadata)
