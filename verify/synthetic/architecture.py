"""What a file set is made of: the true models' configurations, made smaller by a `Size`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

Config = dict[str, Any]
Replacements = Mapping[str, Any]

METADATA = Path(__file__).parent / "metadata"


class GemmaFamily(Enum):
    """The families of text encoders, both of 12 billion parameters."""

    GEMMA_3 = "3"
    GEMMA_4 = "4"  # `gemma4_unified`, as Lightricks tuned it for LTX-2.5


class Variant(Enum):
    """The model families; the value is the family's version."""

    LTX_2 = "2.0"  # LTX-2 19B
    LTX_2_3 = "2.3"  # LTX-2.3 22B
    LTX_2_5 = "2.5"  # LTX-2.5 22B

    @property
    def gemma(self) -> GemmaFamily:
        """The text encoder that the family was trained with."""
        return GemmaFamily.GEMMA_4 if self is Variant.LTX_2_5 else GemmaFamily.GEMMA_3


class Blocks(Enum):
    """What the Linears of the transformer blocks are stored as; all else is bf16."""

    BF16 = "bf16"
    FP8 = "fp8"  # cast, without scales: what upstream's fp8-cast makes of bf16 while it loads
    FP8_SCALED = "fp8-scaled"  # a `weight_scale` and an `input_scale` beside each weight


@dataclass(frozen=True, slots=True)
class GemmaSize:
    """What of Gemma's configuration to replace; nothing replaced is the true model."""

    family: GemmaFamily = GemmaFamily.GEMMA_3
    replacements: Replacements = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Size:
    """What of the true configurations to replace; nothing replaced is the true size.

    A replacement counts only where the true configuration has that field: one table serves
    all variants.
    """

    name: str
    gemma: Mapping[GemmaFamily, GemmaSize]
    checkpoint: Replacements  # by component: transformer, vae, audio_vae, vocoder
    encoder_block: Replacements  # in the parameters of each block of a convolutional video VAE
    decoder_block: Replacements
    spatial_upsampler: Replacements
    lora_rank: int


# Smaller than this a bitsandbytes kernel of the CPU crashes: each Linear of the language model
# takes a multiple of 64 features. 256 image tokens and 16 x 16 patches belong together.
TINY_GEMMA = GemmaSize(
    replacements={
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
    },
)

# A layer of each kind of attention; the global one has wider heads, and no values of its own.
TINY_GEMMA_4 = GemmaSize(
    family=GemmaFamily.GEMMA_4,
    replacements={
        "audio_token_id": 11,
        "boa_token_id": 9,
        "boi_token_id": 6,
        "eoa_token_index": 10,
        "eoi_token_id": 7,
        "image_token_id": 8,
        "text_config": {
            "global_head_dim": 32,
            "head_dim": 16,
            "hidden_size": 64,
            "intermediate_size": 128,
            "layer_types": ["sliding_attention", "full_attention"],
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "vocab_size": 512,
        },
        "video_token_id": 12,
        "vision_config": {"mm_embed_dim": 64, "mm_posemb_size": 64, "output_proj_dims": 64},
    },
)


def _vocoder(*rates: int) -> Config:
    """A vocoder of two stages with a block each: upstream computes a filter for each convolution
    anew whenever it builds one. The product of the rates is the true one's.
    """
    return {
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_kernel_sizes": [3],
        "upsample_initial_channel": 16,
        "upsample_kernel_sizes": [2 * rate for rate in rates],
        "upsample_rates": list(rates),
    }


# Upstream fixes 128 latent channels, the encoder's 128 base channels, 8 x 16 audio latents and 128
# channels into a vocoder, before 2026-03-04 the decoder's 128 base channels too; the rest is free.
TINY = Size(
    name="tiny",
    gemma={size.family: size for size in (TINY_GEMMA, TINY_GEMMA_4)},
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
        "vae": {
            "decoder_base_channels": 8,
            "decoder": {
                "head_dim": 16,
                "stage_channels": [64, 32, 16, 16, 16],
                "stage_depths": [1, 1, 1, 1, 1],
                "stage_kernels": [[3, 3, 3]] * 5,
                "upsamples": [[[1, 2, 2], 2], [[2, 1, 1], 2], [[2, 2, 2], 1], [[2, 2, 2], 1]],
                "stage5_kernel": [3, 3, 3],
                "t_emb_dim": 64,
            },
        },
        "audio_vae": {
            "model": {"params": {"ddconfig": {"ch_mult": [1, 1, 1], "num_res_blocks": 1}}}
        },
        "vocoder": {
            **_vocoder(10, 24),
            "vocoder": _vocoder(10, 16),
            "bwe": _vocoder(10, 24),
        },
    },
    encoder_block={"num_layers": 1, "multiplier": 1},
    decoder_block={"num_layers": 1, "multiplier": 1},
    spatial_upsampler={"mid_channels": 32, "num_blocks_per_stage": 1},
    lora_rank=2,
)

FULL = Size(
    name="full",
    gemma={family: GemmaSize(family) for family in GemmaFamily},
    checkpoint={},
    encoder_block={},
    decoder_block={},
    spatial_upsampler={},
    lora_rank=384,  # as the names of the published ones for 19B and LTX-2.3 say
)

_GEMMA_FILES = {GemmaFamily.GEMMA_3: "gemma3_12b", GemmaFamily.GEMMA_4: "gemma4_12b"}

SIZES: Mapping[str, Size] = {size.name: size for size in (TINY, FULL)}


def checkpoint_metadata(variant: Variant, size: Size, gemma: GemmaFamily) -> Config:
    """The safetensors metadata of the checkpoint; what is no text in it is written as JSON.

    `gemma_source_checkpoint` is there for Gemma 4 alone: by its absence, upstream wants Gemma 3.
    """
    true = _load(variant.value)["checkpoint"]
    config = replaced(true["config"], size.checkpoint)
    vae = config["vae"]
    encoder, blocks = (vae["encoder"], "blocks") if "encoder" in vae else (vae, "encoder_blocks")
    encoder = {**encoder, blocks: _smaller(encoder[blocks], size.encoder_block)}
    if "encoder" in vae:
        config["vae"] = {**vae, "encoder": encoder}
    else:
        decoder_blocks = _smaller(vae["decoder_blocks"], size.decoder_block)
        config["vae"] = {**encoder, "decoder_blocks": decoder_blocks}
    metadata = {"config": config, "model_version": true["model_version"]}
    if gemma is GemmaFamily.GEMMA_4:
        metadata["gemma_source_checkpoint"] = {
            "ltx_version": true["model_version"],
            "gemma_version": _load(_GEMMA_FILES[gemma])["gemma_version"],
        }
    return metadata


def upsampler_metadata(variant: Variant, size: Size) -> Config:
    """The safetensors metadata of the spatial upsampler."""
    true = _load(variant.value)["spatial_upsampler"]
    return {"config": replaced(true["config"], size.spatial_upsampler)}


def gemma_config(size: GemmaSize) -> Config:
    """The Gemma root's `config.json`."""
    return replaced(_load(_GEMMA_FILES[size.family]), size.replacements)


def replaced(config: Config, replacements: Replacements) -> Config:
    """A copy of `config` with each field that it has and `replacements` names replaced."""
    result = dict(config)
    for key in config.keys() & replacements.keys():
        new = replacements[key]
        result[key] = replaced(config[key], new) if isinstance(new, Mapping) else new
    return result


def _smaller(blocks: Sequence[Any], replacements: Replacements) -> list[Any]:
    return [[kind, replaced(parameters, replacements)] for kind, parameters in blocks]


def _load(name: str) -> Config:
    loaded: Config = json.loads((METADATA / f"{name}.json").read_text("utf-8"))
    return loaded
