"""A file set with another checkpoint: some of its metadata or its tensors changed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from verify.synthetic.files import FileSet


def metadata_of(checkpoint: Path) -> dict[str, str]:
    """What is written in its header beside the tensors."""
    with safe_open(checkpoint, framework="pt") as opened:
        return dict(opened.metadata())


def transformer_config(checkpoint: Path) -> dict[str, Any]:
    """What its metadata says of the transformer."""
    config: dict[str, Any] = json.loads(metadata_of(checkpoint)["config"])["transformer"]
    return config


def edited_files(
    files: FileSet,
    root: Path,
    *,
    transformer: Mapping[str, object] | None = None,
    tensors: Mapping[str, torch.Tensor | None] | None = None,
    version: str | None = None,
) -> FileSet:
    """A file set at `root`, which is new, that has a checkpoint of its own beside the others.

    `transformer` overrides its configuration, `version` what it says it is; of `tensors`, None
    takes one away.
    """
    root.mkdir()
    for path in files.root.iterdir():
        if path != files.checkpoint:
            (root / path.name).symlink_to(path)
    metadata = metadata_of(files.checkpoint)
    config = json.loads(metadata["config"])
    config["transformer"] |= transformer or {}
    kept = {**load_file(files.checkpoint), **(tensors or {})}
    made = FileSet(root, files.layout)
    save_file(
        {name: tensor for name, tensor in kept.items() if tensor is not None},
        made.checkpoint,
        metadata | {"config": json.dumps(config)} | ({"model_version": version} if version else {}),
    )
    return made
