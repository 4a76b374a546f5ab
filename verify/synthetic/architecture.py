"""What a file set is made of: the true models' configurations, made smaller by a `Size`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

Config = dict[str, Any]
Replacements = Mapping[str, Any]

METADATA = Path(__file__).parent / "metadata"


class Variant(Enum):
    """The model families that base 1.0.0 runs; the value is the family's version."""

    LTX_2 = "2.0"  # LTX-2 19B
    LTX_2_3 = "2.3"  # LTX-2.3 22B


@dataclass(frozen=True, slots=True)
class GemmaSize:
    """What of Gemma 3 12B's configuration to replace; nothing replaced is the true model."""

    replacements: Replacements = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Size:
    """What of the true configurations to replace; nothing replaced is the true size.

    A replacement counts only where the true configuration has that field: one table serves
    all variants.
    """

    name: str
    gemma: GemmaSize
    checkpoint: Replacements  # by component: transformer, vae, audio_vae, vocoder
    encoder_block: Replacements  # in the parameters of each block of the video encoder
    decoder_block: Replacements
    spatial_upsampler: Replacements
    lora_rank: int


# Smaller than this a bitsandbytes kernel of the CPU crashes: each Linear of the language model
# takes a multiple of 64 features. 256 image tokens and 16 x 16 patches belong together.
TINY_GEMMA = GemmaSize(
    {
        "boi_token_index": 6,
        "eoi_token_index": 7,
        "eos_token_id": [1, 5],
        "image_token_index": 8,
        "text_config": {
            "head_dim": 16,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "query_pre_attn_scalar": 16,
            "vocab_size": 512,
        },
        "vision_config": {
            "hidden_size": 64,
            "image_size": 224,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "num_hidden_layers": 1,
        },
    }
)

# Upstream 1.0.0 fixes 128 latent channels, the encoder's 128 base channels, 8 x 16 audio latents
# and 128 channels into a vocoder; the rest is free.
TINY = Size(
    name="tiny",
    gemma=TINY_GEMMA,
    checkpoint={
        "transformer": {
            "attention_head_dim": 32,
            "audio_attention_head_dim": 16,
            "audio_connector_attention_head_dim": 16,
            "audio_connector_num_attention_heads": 2,
            "audio_cross_attention_dim": 32,
            "audio_num_attention_heads": 2,
            "caption_channels": 64,
            "connector_attention_head_dim": 32,
            "connector_num_attention_heads": 2,
            "connector_num_layers": 1,
            "cross_attention_dim": 64,
            "num_attention_heads": 2,
            "num_layers": 2,
        },
        "vae": {"decoder_base_channels": 8},
        "audio_vae": {
            "model": {"params": {"ddconfig": {"ch_mult": [1, 1, 1], "num_res_blocks": 1}}}
        },
        "vocoder": {
            "upsample_initial_channel": 64,
            "vocoder": {"upsample_initial_channel": 64},
            "bwe": {"upsample_initial_channel": 64},
        },
    },
    encoder_block={"num_layers": 1, "multiplier": 1},
    decoder_block={"num_layers": 1},
    spatial_upsampler={"mid_channels": 32, "num_blocks_per_stage": 1},
    lora_rank=2,
)

SIZES: Mapping[str, Size] = {size.name: size for size in (TINY,)}


def checkpoint_metadata(variant: Variant, size: Size) -> dict[str, str]:
    """The safetensors metadata of the checkpoint: `config` as JSON, and `model_version`."""
    true = _load(variant.value)["checkpoint"]
    config = replaced(true["config"], size.checkpoint)
    for blocks, replacements in (
        ("encoder_blocks", size.encoder_block),
        ("decoder_blocks", size.decoder_block),
    ):
        config["vae"][blocks] = [
            [kind, replaced(parameters, replacements)] for kind, parameters in config["vae"][blocks]
        ]
    return {"config": json.dumps(config), "model_version": true["model_version"]}


def upsampler_metadata(variant: Variant, size: Size) -> dict[str, str]:
    """The safetensors metadata of the spatial upsampler."""
    true = _load(variant.value)["spatial_upsampler"]
    return {"config": json.dumps(replaced(true["config"], size.spatial_upsampler))}


def gemma_config(size: GemmaSize) -> Config:
    """The Gemma root's `config.json`."""
    return replaced(_load("gemma3_12b"), size.replacements)


def replaced(config: Config, replacements: Replacements) -> Config:
    """A copy of `config` with each field that it has and `replacements` names replaced."""
    result = dict(config)
    for key in config.keys() & replacements.keys():
        new = replacements[key]
        result[key] = replaced(config[key], new) if isinstance(new, Mapping) else new
    return result


def _load(name: str) -> Config:
    loaded: Config = json.loads((METADATA / f"{name}.json").read_text("utf-8"))
    return loaded
