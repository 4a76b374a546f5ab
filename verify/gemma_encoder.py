"""The patched upstream's text encoder of a Gemma root, made by what its pipelines make it with.

That is a ModelLedger until March 2026, then a PromptEncoder. No checkpoint is read.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Protocol

HAS_LEDGER = importlib.util.find_spec("ltx_pipelines.utils.model_ledger") is not None


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
            checkpoint_path="unread", gemma_root_path=str(root), **keywords
        )
        return ledger
    from ltx_pipelines.utils.blocks import PromptEncoder
    from ltx_pipelines.utils.model_paths import ModelPaths

    paths = ModelPaths.from_monolith("unread", gemma_root=str(root))
    return _OfPromptEncoder(PromptEncoder(paths, **keywords))


def encode(encoder: Any, prompt: str) -> tuple[tuple[Any, ...], Any]:
    """The hidden states of a prompt, (1, 1024, hidden) each, and the mask of its tokens."""
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
