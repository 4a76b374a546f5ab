"""Gemma 3 and 4, as folders and packed files, and upstream's PromptEncoder of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized.methods import Method
from transformers import AutoModelForImageTextToText

from tests.upstream.gemma_files import write_tokenizer
from tests.upstream.overlay.conftest import CPU
from verify.synthetic.architecture import SIZES, GemmaFamily
from verify.synthetic.gemma_root import GemmaStorage, write_gemma_root

if TYPE_CHECKING:
    from ltx_pipelines.utils.blocks import PromptEncoder

PROMPT = "a red fox runs over fresh snow at dawn"

# A root and the folder that transformers reads the same weights from.
KINDS = ("3", "3, packed", "4", "4, packed", "4, packed as the hub spells it", "4 instruct")
kinds = pytest.mark.parametrize("kind", KINDS)
Roots = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    made = tmp_path_factory.mktemp("gemmas")

    @cache
    def folder(family: str) -> Path:
        root = made / family
        if family == "4 instruct":
            write_instruct_root(root)
        else:
            size = SIZES["tiny"].gemma[GemmaFamily(family)]
            write_gemma_root(root, size, GemmaStorage(), seed=0)
        return root

    @cache
    def root_of(kind: str) -> tuple[Path, Path]:
        family, _, packed = kind.partition(", ")
        source = folder(family)
        if not packed:
            return source, source
        file = made / f"{kind}.safetensors"
        projection = {"text_embedding_projection.audio_aggregate_embed.bias": torch.randn(33)}
        write_packed(file, source, projection, flat=packed == "packed")
        return file, source

    return root_of


def write_packed(
    file: Path, root: Path, projection: dict[str, torch.Tensor], *, flat: bool
) -> None:
    """As upstream packs a root: with flat names, or with those of the hub."""
    from ltx_core.text_encoders.gemma import gemma_assets

    tensors, metadata = gemma_assets.build_text_encoder_tensors_from_gemma_root(
        str(root), projection, comfy_flat_lm_keys=flat
    )
    gemma_assets.save_text_encoder_safetensors(file, tensors, metadata)


def write_instruct_root(root: Path) -> None:
    """A dense Gemma 4, with embeddings a layer: what enhances prompts for LTX-2.5."""
    from transformers import Gemma4Config

    config = Gemma4Config(
        text_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_key_value_heads": 2,
            "num_kv_shared_layers": 0,
            "vocab_size": 512,
            "vocab_size_per_layer_input": 512,
            "hidden_size_per_layer_input": 64,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 16,
            "position_embedding_size": 256,
        },
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.3 if "embed" in name else parameter.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):
                buffer.fill_(0.7)
    model.bfloat16().save_pretrained(root)
    write_tokenizer(root)


def prompt_encoder(root: Path, method: Method | None = None, **keywords: Any) -> PromptEncoder:
    from ltx_pipelines.utils.blocks import PromptEncoder
    from ltx_pipelines.utils.model_paths import ModelPaths

    flags = {} if method is None else {f"gemma_{method.label}": True}
    paths = ModelPaths.from_monolith("unread", gemma_root=str(root))
    return PromptEncoder(paths, torch.bfloat16, CPU, **flags, **keywords)


def quantized_layers(encoder: Any) -> list[str]:
    return [
        name
        for name, module in encoder.model.named_modules()
        if type(module).__module__.startswith("ltx_core.text_encoders.gemma.quantized")
    ]
