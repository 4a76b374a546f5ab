"""What the tests of the overlay stand on: a ledger of the patched tree, and small random Gemmas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_pipelines.utils import ModelLedger

from verify.gemma_files import GemmaSize, random_model, write_root
from verify.gemma_ledger import ledger_of, write_checkpoint

CPU = torch.device("cpu")
SIZE = GemmaSize()

MakeLedger = Callable[..., ModelLedger]


@pytest.fixture(scope="session")
def bf16_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Gemma in bf16, three shards with an index. Not to be changed."""
    folder = tmp_path_factory.mktemp("gemma") / "bf16"
    return write_root(folder, random_model(SIZE, dtype=torch.bfloat16), shard_size="200KB")


@pytest.fixture(scope="session")
def make_ledger(bf16_root: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeLedger:
    """Make a ledger for a Gemma of that size."""
    folder = tmp_path_factory.mktemp("checkpoint")
    checkpoint = write_checkpoint(folder / "checkpoint.safetensors", bf16_root)

    def make(root: Path, **keywords: Any) -> ModelLedger:
        return ledger_of(root, checkpoint, **keywords)

    return make
