"""A transformer of LTX-2 with random weights, and what a denoising step gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from verify.synthetic.architecture import SIZES, GemmaFamily, Variant, checkpoint_metadata

Change = Callable[[Any], Any]
"""What quantization does to a model on the meta device."""

_AUDIO_PER_FRAME, _TEXT_TOKENS, _SIGMA = 8, 64, 0.7


def transformer(
    variant: Variant, size: str, device: torch.device, change: Change | None = None
) -> Any:
    """One whose weights keep the size of what goes through them; in bf16, but for what `change`
    makes of it. What that retypes is drawn as integers or cast.
    """
    from ltx_core.model.transformer import LTXModelConfigurator

    metadata = checkpoint_metadata(variant, SIZES[size], GemmaFamily.GEMMA_3)
    with torch.device("meta"):
        if hasattr(LTXModelConfigurator, "from_config"):
            model = LTXModelConfigurator.from_config(metadata["config"])
        else:
            model = LTXModelConfigurator.from_metadata(metadata)
    model = model.to(torch.bfloat16)
    if change is not None:
        model = change(model)
    model = model.to_empty(device=device).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        _draw(name, value)
    return model


def _draw(name: str, value: torch.Tensor) -> None:
    if value.dtype == torch.int8:
        value.random_(-127, 128)
    elif name.endswith(".weight_scale"):
        value.fill_(1 / 127 / 64)
    elif value.dim() == 1 and name.endswith("weight"):  # a norm's
        value.fill_(1)
    else:
        std = value.shape[-1] ** -0.5 if name.endswith(".weight") else 0.1
        value.copy_(torch.empty_like(value, dtype=torch.bfloat16).normal_(std=std))


def modalities(model: Any, tokens: tuple[int, int, int], device: torch.device) -> tuple[Any, Any]:
    """Random inputs of a denoising step: `tokens` by time, height and width, and eight of sound a
    frame of latents.
    """
    from ltx_core.model.transformer.modality import Modality

    def of(count: int, channels: int, grid: torch.Tensor, width: int) -> Any:
        return Modality(
            latent=torch.randn(1, count, channels, device=device, dtype=torch.bfloat16),
            sigma=torch.tensor([_SIGMA], device=device),
            timesteps=torch.full((1, count), _SIGMA, device=device),
            positions=torch.stack((grid, grid + 1), dim=-1)[None].to(device, torch.float32),
            context=torch.randn(1, _TEXT_TOKENS, width, device=device, dtype=torch.bfloat16),
        )

    grid = torch.cartesian_prod(*map(torch.arange, tokens)).T
    sound = torch.arange(tokens[0] * _AUDIO_PER_FRAME)[None]
    return (
        of(grid.shape[1], model.patchify_proj.in_features, grid, _context_width(model, "")),
        of(
            sound.shape[1],
            model.audio_patchify_proj.in_features,
            sound,
            _context_width(model, "audio_"),
        ),
    )


def _context_width(model: Any, prefix: str) -> int:
    """Channels of a text token, which 19B projects itself."""
    projection = getattr(model, f"{prefix}caption_projection", None)
    if projection is not None:
        return int(projection.linear_1.in_features)
    return int(getattr(model.transformer_blocks[0], f"{prefix}attn2").to_k.in_features)
