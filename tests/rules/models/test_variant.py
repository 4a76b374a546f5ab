"""A file is told by its tensors' names, whatever its file name or version says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ltx2_patcher.rules.models.architecture import (
    audio_vae_keys,
    checkpoint_keys,
    duration_head_keys,
    transformer_keys,
    video_vae_keys,
)
from ltx2_patcher.rules.models.comfy_marks import marks_of
from ltx2_patcher.rules.models.precision import precision_of
from ltx2_patcher.rules.models.safetensors_header import parse_header
from ltx2_patcher.rules.models.variant import identify
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Checkpoint, Foreign, Header, Lora, ModelPart, Upsampler
from tests.weight_files import RELEASED, Spec, header, plain

BLOCK = "model.diffusion_model.transformer_blocks.0.attn1.to_q"


def _header(tensors: Spec, config: Mapping[str, object] | None = None) -> Header:
    metadata = {"config": json.dumps(config), "model_version": "9.9"} if config else None
    return parse_header(*header(tensors, metadata), "a file")


def _released(model: str, **changed: tuple[str, tuple[int, ...]]) -> Header:
    config = RELEASED[model]["config"]
    return _header({**plain(checkpoint_keys(config)), **changed}, config)


@pytest.mark.parametrize("model", ["LTX-2 19B", "LTX-2.3 22B"])
def test_a_released_checkpoint_is_known_and_complete(model: str) -> None:
    found = identify(_released(model), "a file")
    assert isinstance(found, Checkpoint)
    assert (found.name, found.precision, found.layers) == (model, "bf16", 48)
    assert found.missing == ()
    assert sum(part.tensors for part in found.components) == RELEASED[model]["keys"]
    assert [part.name for part in found.components] == [
        "embeddings processor",
        "transformer",
        "video vae",
        "audio vae",
        "vocoder",
    ]


@pytest.mark.parametrize(
    ("version", "stated"),
    [("2.0.0", "LTX-2"), ("2.3.0", "LTX-2.3"), ("2.3.rc1", "LTX-2.3"), ("9.9", None), (None, None)],
)
def test_what_the_metadata_states_is_kept_beside_what_the_tensors_tell(
    version: str | None, stated: str | None
) -> None:
    config = RELEASED["LTX-2.3 22B"]["config"]
    metadata = {"config": json.dumps(config)} | ({"model_version": version} if version else {})
    read = parse_header(*header(plain(checkpoint_keys(config)), metadata), "a file")
    found = identify(read, "a file")
    assert isinstance(found, Checkpoint)
    assert (found.generation, found.stated) == ("LTX-2.3", stated)


def test_a_missing_tensor_is_named() -> None:
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = plain(checkpoint_keys(config) - {f"{BLOCK}.weight"})
    found = identify(_header(tensors, config), "a file")
    assert isinstance(found, Checkpoint)
    assert found.missing == (f"{BLOCK}.weight",)


def test_prequantized_weights_and_their_scales_are_told() -> None:
    fp8 = {f"{BLOCK}.weight": ("F8_E4M3", (2, 2))}
    scale = {f"{BLOCK}.weight_scale": ("F32", ())}
    plain_fp8 = identify(_released("LTX-2 19B", **fp8), "a file")
    scaled = identify(_released("LTX-2 19B", **fp8, **scale), "a file")
    assert isinstance(plain_fp8, Checkpoint)
    assert isinstance(scaled, Checkpoint)
    assert (plain_fp8.precision, scaled.precision) == ("fp8", "fp8 with scales")


WEIGHT, SCALE = f"{BLOCK}.weight", f"{BLOCK}.weight_scale"
ROTATED, UNROTATED, SMALLER = (
    json.dumps({"layers": {BLOCK: mark}})
    for mark in (
        {"format": "int8_tensorwise", "convrot": True},
        {"format": "int8_tensorwise"},
        {"format": "asym_w4a8_int8"},
    )
)
OTHER = f"{BLOCK.removesuffix('q')}k.weight"


@pytest.mark.parametrize(
    ("precision", "tensors", "quantization"),
    [
        ("bf16", {WEIGHT: ("BF16", (8, 64)), f"{BLOCK}.norm": ("F8_E4M3", (8,))}, None),
        ("f32", {WEIGHT: ("F32", (8, 64))}, None),
        ("fp8 e5m2", {WEIGHT: ("F8_E5M2", (8, 64))}, None),
        ("fp8 with scales", {WEIGHT: ("F8_E4M3", (8, 64)), SCALE: ("F32", (1,))}, None),
        ("fp8 by rows", {WEIGHT: ("F8_E4M3", (8, 64)), SCALE: ("F32", (8, 1))}, None),
        ("mxfp8", {WEIGHT: ("F8_E4M3", (8, 64)), SCALE: ("F8_E8M0", (8, 2))}, None),
        ("nvfp4", {WEIGHT: ("U8", (8, 32)), SCALE: ("F8_E4M3", (8, 4))}, None),
        ("codes of 8 bits", {WEIGHT: ("U8", (8, 32)), SCALE: ("F32", (8,))}, None),
        ("int8 without marks", {WEIGHT: ("I8", (8, 64)), SCALE: ("F32", (8, 1))}, None),
        ("int8", {WEIGHT: ("I8", (8, 64)), SCALE: ("F32", (8, 1))}, UNROTATED),
        ("asym_w4a8_int8", {WEIGHT: ("I8", (8, 32)), f"{BLOCK}.s": ("F32", (8,))}, SMALLER),
        (
            "nvfp4 among others",
            {WEIGHT: ("U8", (8, 32)), SCALE: ("F8_E4M3", (8, 4)), OTHER: ("F8_E4M3", (8, 64))},
            None,
        ),
        ("int8 with rotation", {WEIGHT: ("I8", (8, 64)), SCALE: ("F32", ())}, ROTATED),
        ("quanto", {f"{WEIGHT}._data": ("I8", (8, 64)), f"{WEIGHT}._scale": ("F32", (8,))}, None),
        ("bitsandbytes 4-bit", {WEIGHT: ("U8", (256, 1)), f"{WEIGHT}.absmax": ("F32", (8,))}, None),
    ],
)
def test_precision_is_that_of_the_weights_and_their_scales(
    precision: str, tensors: dict[str, tuple[str, tuple[int, ...]]], quantization: str | None
) -> None:
    metadata = {} if quantization is None else {"_quantization_metadata": quantization}
    read = parse_header(*header(tensors, metadata), "a file")
    read = replace(read, marks=marks_of(read.metadata, {}))
    assert precision_of(read, "model.diffusion_model.transformer_blocks.") == precision


def test_the_width_of_the_prompt_is_read_off_the_projection() -> None:
    name = "text_embedding_projection.aggregate_embed.weight"
    found = identify(_released("LTX-2 19B", **{name: ("BF16", (4, 192))}), "a file")
    assert isinstance(found, Checkpoint)
    assert found.context_width == 192


def test_a_later_model_is_known_whole_and_as_its_transformer_alone() -> None:
    config = RELEASED["LTX-2.5 22B"]["config"]
    whole = identify(_header(plain(checkpoint_keys(config)), config), "a file")
    assert isinstance(whole, Checkpoint)
    assert (whole.name, whole.generation) == ("LTX-2.5 22B", "LTX-2.5")
    assert (whole.whole, whole.missing) == (True, ())
    alone = identify(_header(plain(transformer_keys(config)), config), "a file")
    assert isinstance(alone, Checkpoint)
    assert (alone.variant, alone.whole, alone.missing) == ("LTX-2.5 22B", False, ())
    assert alone.context_width is None
    assert [part.name for part in alone.components] == ["embeddings processor", "transformer"]
    less = identify(_header(plain(transformer_keys(config) - {f"{BLOCK}.weight"}), config), "")
    assert isinstance(less, Checkpoint)
    assert less.missing == (f"{BLOCK}.weight",)


def test_a_checkpoint_says_which_gemma_it_was_trained_with() -> None:
    config = RELEASED["LTX-2.5 22B"]["config"]
    for said, told in (
        ('{"gemma_version": "a version", "ltx_version": "2.5.0"}', "a version"),
        ('{"gemma_version": 4}', None),
        ("[]", None),
        ("{", None),
    ):
        metadata = {"config": json.dumps(config), "gemma_source_checkpoint": said}
        read = parse_header(*header(plain(transformer_keys(config)), metadata), "a file")
        found = identify(read, "a file")
        assert isinstance(found, Checkpoint)
        assert found.gemma_version == told


VIDEO = video_vae_keys(RELEASED["LTX-2.5 22B"]["config"])
DIFFUSION = "video VAE (diffusion decoder)"
AUDIO = audio_vae_keys(RELEASED["LTX-2.5 22B"]["config"])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (VIDEO, DIFFUSION),
        ({name.removeprefix("vae.") for name in VIDEO}, DIFFUSION),
        (
            {name.replace("mlp.0", "timestep_embedder.linear_1") for name in VIDEO},
            "video VAE (diffusion decoder)",
        ),
        (AUDIO, "audio VAE"),
        (duration_head_keys(), "duration head"),
    ],
)
def test_the_parts_of_a_split_model_are_told(names: frozenset[str], told: str | None) -> None:
    """However a VAE's own file spells them; and what one lacks is named as a whole model has it."""
    config = RELEASED["LTX-2.5 22B"]["config"]
    found = identify(_header(plain(names), config), "a file")
    assert isinstance(found, ModelPart)
    assert (found.name, found.missing) == (told, ())
    kept = sorted(names)[1:]
    less = identify(_header(plain(kept), config), "a file")
    assert isinstance(less, ModelPart)
    assert len(less.missing) == 1


def test_a_convolutional_vae_of_its_own_is_told() -> None:
    config = RELEASED["LTX-2.3 22B"]["config"]
    found = identify(_header(plain(video_vae_keys(config)), config), "a file")
    assert isinstance(found, ModelPart)
    assert (found.name, found.missing) == ("video VAE (convolutional decoder)", ())


@pytest.mark.parametrize(
    ("config", "version", "generation"),
    [
        ({"spatial_scale": 2.0, "rational_resampler": True}, None, "LTX-2"),
        ({"spatial_scale": 1.5, "rational_resampler": True}, None, None),
        ({"spatial_scale": 2.0, "rational_resampler": False}, None, None),
        ({"spatial_scale": 2.0}, "2.3.0", "LTX-2.3"),
        ({"spatial_scale": 2.0}, "2.0.0", "LTX-2"),
        ({"spatial_scale": 2.0}, "other", None),
    ],
)
def test_an_upsampler_tells_whose_it_is_where_it_can(
    config: dict[str, object], version: str | None, generation: str | None
) -> None:
    metadata = {"config": json.dumps(config)} | ({"model_version": version} if version else {})
    tensors = plain(["post_upsample_res_blocks.0.conv1.weight"])
    found = identify(parse_header(*header(tensors, metadata), "a file"), "a file")
    assert isinstance(found, Upsampler)
    assert found.generation == generation


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, "x2 in space"),
        ({"spatial_scale": 1.5, "rational_resampler": True}, "x1.5 in space"),
        ({"spatial_scale": 1.5, "rational_resampler": False}, "x2 in space"),
        ({"spatial_upsample": False, "temporal_upsample": True}, "x2 in time"),
        ({"temporal_upsample": True}, "x2 in space and x2 in time"),
    ],
)
def test_an_upsampler_is_told_by_what_it_multiplies(config: dict[str, object], scale: str) -> None:
    """As upstream reads it: without a rational resampler it doubles, whatever the scale says."""
    found = identify(_header(plain(["post_upsample_res_blocks.0.conv1.weight"]), config), "a file")
    assert isinstance(found, Upsampler)
    assert found.scale == scale


@pytest.mark.parametrize(
    "config",
    [{"spatial_upsample": False}, {"spatial_scale": "2", "rational_resampler": True}],
)
def test_an_upsampler_that_multiplies_nothing_is_none(config: dict[str, object]) -> None:
    with pytest.raises(InvalidError, match="configuration"):
        identify(_header(plain(["post_upsample_res_blocks.0.conv1.weight"]), config), "a file")


def test_a_lora_an_upsampler_and_a_stranger_are_told() -> None:
    down = "diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight"
    lora = identify(_header({down: ("BF16", (384, 8))}), "a file")
    upsampler = identify(
        _header(plain(["post_upsample_res_blocks.0.conv1.weight"]), {"spatial_scale": 2.0}),
        "a file",
    )
    stranger = identify(_header(plain(["transformer.h.0.weight"])), "a file")
    assert isinstance(lora, Lora)
    assert (lora.rank, len(lora.modules)) == (384, 1)
    assert isinstance(upsampler, Upsampler)
    assert upsampler.scale == "x2 in space"
    assert isinstance(stranger, Foreign)


@pytest.mark.parametrize("config", ["{", "[]", '"text"'])
def test_a_checkpoint_without_a_readable_configuration_is_refused(config: str) -> None:
    text, size = header(plain([f"{BLOCK}.weight"]), {"config": config})
    with pytest.raises(InvalidError, match="configuration"):
        identify(parse_header(text, size, "a file"), "a file")
