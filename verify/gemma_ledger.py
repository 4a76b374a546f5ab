"""The patched ledger of the upstream on the path, for a Gemma root alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from ltx_core.text_encoders import gemma
from ltx_core.text_encoders.gemma.encoders import base_encoder
from ltx_pipelines.utils import ModelLedger
from safetensors.torch import save_file

from verify.synthetic.naming import file_names

GEMMA_KEY_OPS = getattr(gemma, "GEMMA_LLM_KEY_OPS", None) or base_encoder.GEMMA_KEY_OPS
"""The names of Gemma's tensors: upstream's, or our hook's where upstream has none."""


def ledger_of(gemma_root: Path, checkpoint: Path, **keywords: Any) -> ModelLedger:
    """A ledger whose `text_encoder()` loads `gemma_root`; in bf16 on the CPU, or as `keywords` say.

    `checkpoint` is one of `write_checkpoint`, for a Gemma of that size.
    """
    return ModelLedger(
        **{"dtype": torch.bfloat16, "device": torch.device("cpu"), **keywords},
        checkpoint_path=str(checkpoint),
        gemma_root_path=str(gemma_root),
    )


def write_checkpoint(path: Path, gemma_root: Path) -> Path:
    """What a text encoder takes from a checkpoint lies at `path`; an empty one where it takes none.

    Before 2026-03-04 upstream's encoder holds the projection of Gemma's states and the connectors;
    these have no layers here, so the file is small.
    """
    configurator = getattr(gemma, "AVGemmaTextEncoderModelConfigurator", None)
    if configurator is None:
        save_file({}, path)
        return path
    from ltx_core.text_encoders.gemma.root_config import bound_to_root, stated_config

    hidden: int = stated_config(str(gemma_root))["text_config"]["hidden_size"]
    transformer = {
        "connector_num_layers": 0,
        "connector_num_attention_heads": 1,
        "connector_attention_head_dim": hidden,
    }
    config = {"transformer": transformer}
    with torch.device("meta"):
        shell = bound_to_root(configurator, str(gemma_root)).from_config(config)
    generator = torch.Generator().manual_seed(0)
    state = shell.state_dict()
    tensors = {
        name: (torch.randn(state[key].shape, generator=generator) * 0.02).to(torch.bfloat16)
        for key, name in file_names(gemma.AV_GEMMA_TEXT_ENCODER_KEY_OPS, state).items()
    }
    save_file(tensors, path, metadata={"config": json.dumps(config)})
    return path
