"""transformers' own quantized Gemma, which ours must equal, and what to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ltx_core.text_encoders.gemma.quantized.methods import INT8, Method
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedModel

_BESIDE_THE_LANGUAGE_MODEL = [
    "vision_tower",
    "multi_modal_projector",
    "embed_vision",
    "embed_audio",
]
# transformers 5 compares these with the start of a module's name, older releases with any part.
LANGUAGE_MODEL_ONLY = [
    "lm_head",
    *_BESIDE_THE_LANGUAGE_MODEL,
    *(f"model.{part}" for part in _BESIDE_THE_LANGUAGE_MODEL),
]
TOKENS = torch.arange(20, 84)[None]


def settings_for(method: Method, **changes: Any) -> BitsAndBytesConfig:
    """The BitsAndBytesConfig of the method's flag, with changes."""
    if method == INT8:
        return BitsAndBytesConfig(
            **{"load_in_8bit": True, "llm_int8_skip_modules": LANGUAGE_MODEL_ONLY, **changes}
        )
    return BitsAndBytesConfig(
        **{
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": torch.bfloat16,
            "llm_int8_skip_modules": LANGUAGE_MODEL_ONLY,
            **changes,
        }
    )


def from_pretrained(
    root: Path, settings: BitsAndBytesConfig | None = None, device: str = "cpu"
) -> PreTrainedModel:
    """Transformers' own loading, to its quantization or to the root's."""
    given = {} if settings is None else {"quantization_config": settings}
    return AutoModelForImageTextToText.from_pretrained(
        root, dtype=torch.bfloat16, device_map={"": device}, **given
    ).eval()


@torch.inference_mode()
def hidden_states(
    model: PreTrainedModel, tokens: torch.Tensor = TOKENS
) -> tuple[torch.Tensor, ...]:
    """The hidden states of every layer, (1, tokens, hidden) each."""
    tokens = tokens.to(model.device)
    outputs = model.model(
        input_ids=tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True
    )
    states: tuple[torch.Tensor, ...] = outputs.hidden_states
    return states


@torch.inference_mode()
def image_features(model: PreTrainedModel) -> torch.Tensor:
    """What the vision tower and the projector make of one random image, (1, 256, hidden)."""
    side = model.config.vision_config.image_size
    pixels = torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    features = model.model.get_image_features(pixels.to(model.device, torch.bfloat16))
    tensor: torch.Tensor = getattr(features, "pooler_output", features)  # transformers 5 gives both
    return tensor


def assert_equal(ours: PreTrainedModel, theirs: PreTrainedModel) -> None:
    """Both give the same bits for a text, and a Gemma 3 for an image too."""
    pairs = list(zip(hidden_states(ours), hidden_states(theirs), strict=True))
    assert len(pairs) > 1
    assert all(torch.equal(mine, other) for mine, other in pairs)
    assert all(mine.isfinite().all() for mine, _ in pairs)
    if hasattr(ours.config, "mm_tokens_per_image"):
        assert torch.equal(image_features(ours), image_features(theirs))
