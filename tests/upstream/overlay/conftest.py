"""What the tests of the overlay stand on: the patched tree's encoders, and small random Gemmas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from verify.gemma_encoder import TextEncoders, text_encoders
from verify.gemma_files import GemmaSize, random_model, write_root

CPU = torch.device("cpu")
SIZE = GemmaSize()

MakeEncoders = Callable[..., TextEncoders]


@pytest.fixture(scope="session")
def bf16_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Gemma in bf16, three shards with an index. Not to be changed."""
    folder = tmp_path_factory.mktemp("gemma") / "bf16"
    return write_root(folder, random_model(SIZE, dtype=torch.bfloat16), shard_size="200KB")


@pytest.fixture
def make_encoders() -> MakeEncoders:
    """What builds the text encoders of a root; it reads no checkpoint."""
    return text_encoders
