"""What the tests of the overlay stand on: the patched tree's encoders, and small random Gemmas."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized.methods import INT8, METHODS, NF4
from safetensors.torch import load_file

from tests.upstream.conftest import DATE
from tests.upstream.gemma_files import GemmaSize, random_model, write_root
from verify.campaigns.gemma_encoder import TextEncoders, text_encoders, write_checkpoint

# What it imports needs an upstream of these days.
collect_ignore = [] if "2026-03-30" <= DATE < "2026-08-11" else ["test_requested_gemma.py"]
collect_ignore += [] if find_spec("ltx_core.weight_files") else ["test_gemma_conversion.py"]

CPU = torch.device("cpu")
SIZE = GemmaSize()

ASKED_FOR = tuple(method for method in METHODS if method.flag is not None)
methods = pytest.mark.parametrize("method", ASKED_FOR, ids=lambda method: method.label)

FLAGS = {NF4: {"gemma_4bit": True}, INT8: {"gemma_8bit": True}}
"""What asks for a method, from Python."""

MakeEncoders = Callable[..., TextEncoders]


def tensors_of(root: Path) -> dict[str, torch.Tensor]:
    """All tensors of a root's shards."""
    return {
        name: tensor
        for file in sorted(root.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


@pytest.fixture(scope="session")
def bf16_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Gemma in bf16, three shards with an index. Not to be changed."""
    folder = tmp_path_factory.mktemp("gemma") / "bf16"
    return write_root(folder, random_model(SIZE, dtype=torch.bfloat16), shard_size="200KB")


@pytest.fixture(scope="session")
def checkpoint(bf16_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the text encoder of a Gemma of that size takes from a checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return write_checkpoint(folder / "checkpoint.safetensors", bf16_root)


@pytest.fixture(scope="session")
def make_encoders(checkpoint: Path) -> MakeEncoders:
    """What builds the text encoders of a root with a Gemma of that size."""
    return partial(text_encoders, checkpoint=checkpoint)
