"""The patched upstream's text encoder of a Gemma root, made by what its pipelines make it with.

That is a ModelLedger until March 2026, then a PromptEncoder. No checkpoint of LTX is needed.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Protocol

HAS_LEDGER = importlib.util.find_spec("ltx_pipelines.utils.model_ledger") is not None
_GEMMA = "ltx_core.text_encoders.gemma"
# Until March 2026 upstream's text encoder is more than Gemma: the rest comes from the checkpoint.
_HAS_MORE_THAN_GEMMA = importlib.util.find_spec(f"{_GEMMA}.encoders.av_encoder") is not None


class TextEncoders(Protocol):
    """What builds a text encoder each time it is asked for one."""

    def text_encoder(self) -> Any: ...


def text_encoders(root: Path, **keywords: Any) -> TextEncoders:
    """On the CPU unless `device` says otherwise; the flags and `registry` are upstream's keywords.

    Raises: GemmaQuantizationError.
    """
    import torch

    keywords = {"dtype": torch.bfloat16, "device": torch.device("cpu"), **keywords}
    if HAS_LEDGER:
        from ltx_pipelines.utils import ModelLedger

        ledger: TextEncoders = ModelLedger(
            checkpoint_path=_checkpoint_for(root), gemma_root_path=str(root), **keywords
        )
        return ledger
    from ltx_pipelines.utils.blocks import PromptEncoder
    from ltx_pipelines.utils.model_paths import ModelPaths

    paths = ModelPaths.from_monolith("unread", gemma_root=str(root))
    return _OfPromptEncoder(PromptEncoder(paths, **keywords))


def encode(encoder: Any, prompt: str) -> tuple[tuple[Any, ...], Any]:
    """The hidden states of a prompt, (1, 1024, hidden) each, and the mask of its tokens."""
    if _HAS_MORE_THAN_GEMMA:
        return _encode_in_gemma(encoder, prompt)
    if HAS_LEDGER:
        states, mask = encoder.encode(prompt)
        return states, mask
    ((states, mask),) = encoder.encode([prompt])
    return states, mask


class _OfPromptEncoder:
    def __init__(self, prompt_encoder: Any) -> None:
        self.prompt_encoder = prompt_encoder

    def text_encoder(self) -> Any:
        return self.prompt_encoder._build_text_encoder()


def _checkpoint_for(root: Path) -> str:
    """A checkpoint that completes the text encoder of the root, where one is read at all."""
    if not _HAS_MORE_THAN_GEMMA:
        return "unread"
    from ltx_core.text_encoders.gemma.root_config import stated_config

    if (stated := stated_config(str(root))) is None:
        return "unread"  # there is no Gemma to complete
    text = stated["text_config"]
    return str(_checkpoint(text["hidden_size"], text["num_hidden_layers"]))


@cache
def _checkpoint(hidden: int, layers: int) -> Path:
    """Random weights for what stands behind a Gemma of that size; it goes with the process.

    The connectors have no layers, so the file is small.
    """
    import torch
    from safetensors.torch import save_file

    names = {
        "text_embedding_projection.aggregate_embed.weight": (hidden, hidden * (layers + 1)),
        "model.diffusion_model.video_embeddings_connector.learnable_registers": (128, hidden),
        "model.diffusion_model.audio_embeddings_connector.learnable_registers": (128, hidden),
    }
    connectors = {
        "connector_num_layers": 0,
        "connector_num_attention_heads": 1,
        "connector_attention_head_dim": hidden,
    }
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator).mul_(0.02).to(torch.bfloat16)
        for name, shape in names.items()
    }
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "checkpoint.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps({"transformer": connectors})})
    return path


def _encode_in_gemma(encoder: Any, prompt: str) -> tuple[tuple[Any, ...], Any]:
    """As `encode`, of an encoder that gives its states to nobody."""
    import torch

    pairs = encoder.tokenizer.tokenize_with_weights(prompt)["gemma"]
    tokens, mask = (torch.tensor([column]) for column in zip(*pairs, strict=True))
    outputs = encoder.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
    return outputs.hidden_states, mask
