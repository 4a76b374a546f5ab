"""The patched upstream's text encoder of a Gemma root, made by what its pipelines make it with.

That is a ModelLedger until March 2026, then a PromptEncoder: of a Gemma root until August, which
says how it is to be loaded, then of ModelPaths.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Protocol

import torch
from ltx_core.text_encoders import gemma
from safetensors.torch import save_file

from verify.synthetic.naming import file_names

HAS_LEDGER = importlib.util.find_spec("ltx_pipelines.utils.model_ledger") is not None
TAKES_ROOTS = HAS_LEDGER or importlib.util.find_spec("ltx_pipelines.utils.model_paths") is None


class TextEncoders(Protocol):
    """What builds a text encoder each time it is asked for one."""

    def text_encoder(self) -> Any:
        """One more, its weights loaded."""


def text_encoders(root: Path, checkpoint: Path, **keywords: Any) -> TextEncoders:
    """Of `root`, in bf16 on the CPU unless `keywords` say otherwise: they are upstream's own.

    `checkpoint` is one of `write_checkpoint`, for a Gemma of that size.
    Raises: GemmaQuantizationError.
    """
    keywords = {"dtype": torch.bfloat16, "device": torch.device("cpu"), **keywords}
    if HAS_LEDGER:
        from ltx_pipelines.utils import ModelLedger

        ledger: TextEncoders = ModelLedger(
            checkpoint_path=str(checkpoint), gemma_root_path=str(root), **keywords
        )
        return ledger
    from ltx_pipelines.utils.blocks import PromptEncoder

    if TAKES_ROOTS:
        from ltx_pipelines.utils.requested_gemma import GemmaRoot

        flags = {name: keywords.pop(name, False) for name in ("gemma_4bit", "gemma_8bit")}
        return _OfPromptEncoder(
            PromptEncoder(str(checkpoint), GemmaRoot(str(root), **flags), **keywords)
        )
    from ltx_pipelines.utils.model_paths import ModelPaths

    paths = ModelPaths.from_monolith(str(checkpoint), gemma_root=str(root))
    return _OfPromptEncoder(PromptEncoder(paths, **keywords))


def write_checkpoint(path: Path, gemma_root: Path) -> Path:
    """What a text encoder takes from a checkpoint lies at `path`; an empty one where it takes none.

    Until 2026-03-04 upstream's encoder holds the projection of Gemma's states and the connectors;
    these have no layers here, so the file is small.
    """
    if not hasattr(gemma, "AV_GEMMA_TEXT_ENCODER_KEY_OPS"):
        save_file({}, path)
        return path
    configurator = getattr(gemma, "AVGemmaTextEncoderModelConfigurator", None)
    configurator = configurator or gemma.GemmaTextEncoderConfigurator
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
    shell.model = None  # has its own files, though upstream makes it here since 2026-01-29
    generator = torch.Generator().manual_seed(0)
    state = shell.state_dict()
    tensors = {
        name: (torch.randn(state[key].shape, generator=generator) * 0.02).to(torch.bfloat16)
        for key, name in file_names(gemma.AV_GEMMA_TEXT_ENCODER_KEY_OPS, state).items()
    }
    save_file(tensors, path, metadata={"config": json.dumps(config)})
    return path


class _OfPromptEncoder:
    def __init__(self, prompt_encoder: Any) -> None:
        self.prompt_encoder = prompt_encoder

    def text_encoder(self) -> Any:
        # What each of its calls uses and frees.
        encoder = self.prompt_encoder
        return encoder._text_encoder_builder.build(  # noqa: SLF001
            device=encoder._device,  # noqa: SLF001
            dtype=encoder._dtype,  # noqa: SLF001
        ).eval()
