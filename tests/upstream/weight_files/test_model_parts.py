"""Names of every file in circulation, read as those of upstream's checkpoint."""

from __future__ import annotations

import pytest
import torch
from ltx_core.weight_files.block_linears import is_block_bias, is_block_weight
from ltx_core.weight_files.lora_conversion import transformer_modules
from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX, Part, part_of, upstream_names
from ltx_core.weight_files.released import released_metadata

from tests.upstream.patches.fp8 import DOWNCAST_MAP
from verify.synthetic.published import tensors
from verify.synthetic.tensorfile import Shape

variants = pytest.mark.parametrize("variant", ["2.0", "2.3", "2.5"])
pytestmark = pytest.mark.core

# What diffusers' converter replaces in a name, in its order, as it says itself.
REPLACED = [
    ("patchify_proj", "proj_in"),
    ("av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
    ("av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
    ("av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
    ("av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
    ("scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
    ("prompt_adaln_single", "prompt_adaln"),
    ("adaln_single", "time_embed"),
    ("video_embeddings_connector", "video_connector"),
    ("audio_embeddings_connector", "audio_connector"),
    ("transformer_1d_blocks", "transformer_blocks"),
    ("text_embedding_projection.aggregate_embed", "text_proj_in"),
    ("text_embedding_projection.audio_aggregate_embed", "audio_text_proj_in"),
    ("text_embedding_projection.video_aggregate_embed", "video_text_proj_in"),
    ("q_norm", "norm_q"),
    ("k_norm", "norm_k"),
]


def published(variant: str, *parts: Part) -> dict[str, Shape]:
    return {n: s for n, s in tensors(variant).items() if not parts or part_of(n) in parts}


def named_by_diffusers(name: str) -> str:
    name = name.removeprefix(TRANSFORMER_PREFIX)
    for ours, theirs in REPLACED:
        name = name.replace(ours, theirs)
    return name


@variants
def test_upstreams_own_names_are_their_own(variant: str) -> None:
    shapes = published(variant)
    assert upstream_names(shapes) == {name: name for name in shapes}


@variants
@pytest.mark.parametrize("prefix", ["", "diffusion_model."])
def test_a_transformer_for_comfyui_has_no_prefix_or_another(variant: str, prefix: str) -> None:
    names = published(variant, Part.TRANSFORMER, Part.CONNECTORS)
    bare = {prefix + name.removeprefix(TRANSFORMER_PREFIX): name for name in names}
    assert upstream_names({name: names[ours] for name, ours in bare.items()}) == bare


@variants
def test_diffusers_names_are_read(variant: str) -> None:
    ours = published(variant, Part.TRANSFORMER, Part.CONNECTORS, Part.PROJECTION)
    theirs = {named_by_diffusers(name): name for name in ours}
    assert len(theirs) == len(ours)
    assert upstream_names({name: ours[name_of] for name, name_of in theirs.items()}) == theirs


@pytest.mark.parametrize(
    ("part", "prefix"), [(Part.VIDEO_VAE, "vae."), (Part.AUDIO_VAE, "audio_vae.")]
)
def test_a_vae_in_its_own_file_is_told_by_its_shapes(part: Part, prefix: str) -> None:
    ours = published("2.3", part)
    bare = {name.removeprefix(prefix): name for name in ours}
    assert upstream_names({name: ours[name_of] for name, name_of in bare.items()}) == bare


def test_what_is_no_part_of_an_ltx_2_has_no_name() -> None:
    names = (
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "decoder.1.weight",
        "language_model.model.layers.0.mlp.up_proj.weight",
        "double_blocks.0.img_attn.qkv.weight",
    )
    assert upstream_names(dict.fromkeys(names, (2, 2))) == {}


@variants
def test_released_transformers_are_known_by_their_names(variant: str) -> None:
    metadata = released_metadata(published(variant, Part.TRANSFORMER))
    assert metadata["model_version"] == f"{variant}.0"
    narrow = {n: tuple(d // 2 for d in s) for n, s in published(variant, Part.TRANSFORMER).items()}
    assert released_metadata(narrow) == {}
    short = {n: s for n, s in published(variant).items() if ".47." not in n}
    assert released_metadata(short) == {}


@variants
def test_block_linears_are_those_that_fp8_cast_takes(variant: str) -> None:
    value = torch.zeros(1)
    for name in published(variant):
        key = name.removeprefix(TRANSFORMER_PREFIX)
        (result,) = DOWNCAST_MAP.apply_to_key_value(key, value)
        is_taken = result.new_value.dtype is torch.float8_e4m3fn
        assert is_taken == (is_block_weight(name) or is_block_bias(name)), name


@variants
def test_lora_modules_are_all_linear_layers_of_the_transformer(variant: str) -> None:
    layers = {
        name.removeprefix(TRANSFORMER_PREFIX).removesuffix(".weight")
        for name, shape in published(variant, Part.TRANSFORMER).items()
        if name.endswith(".weight") and len(shape) == 2
    }
    assert layers <= transformer_modules(48)
    assert all("transformer_blocks" not in module for module in transformer_modules(0))
