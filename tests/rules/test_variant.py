"""A file is told by its tensors' names, whatever its file name or version says."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from ltx2_patcher.rules.architecture import checkpoint_keys
from ltx2_patcher.rules.safetensors_header import parse_header
from ltx2_patcher.rules.variant import identify
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Checkpoint, Foreign, Header, Lora, Upsampler
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


def test_the_width_of_the_prompt_is_read_off_the_projection() -> None:
    name = "text_embedding_projection.aggregate_embed.weight"
    found = identify(_released("LTX-2 19B", **{name: ("BF16", (4, 192))}), "a file")
    assert isinstance(found, Checkpoint)
    assert found.context_width == 192


def test_a_later_model_is_told_apart() -> None:
    config = RELEASED["LTX-2.3 22B"]["config"]
    names = [f"{BLOCK}.weight", "model.diffusion_model.keyframes_abs_pos_embedding"]
    found = identify(_header(plain(names), config), "a file")
    assert isinstance(found, Checkpoint)
    assert (found.variant, found.missing) == ("LTX-2.5 22B", ())


def test_a_lora_an_upsampler_and_a_stranger_are_told() -> None:
    down = "diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight"
    lora = identify(_header({down: ("BF16", (384, 8))}), "a file")
    upsampler = identify(
        _header(plain(["post_upsample_res_blocks.0.conv1.weight"]), {"spatial_scale": 2.0}),
        "a file",
    )
    stranger = identify(_header(plain(["transformer.h.0.weight"])), "a file")
    assert isinstance(lora, Lora)
    assert (lora.rank, lora.modules) == (384, 1)
    assert isinstance(upsampler, Upsampler)
    assert upsampler.scale == "x2.0"
    assert isinstance(stranger, Foreign)


@pytest.mark.parametrize("config", [None, "{", "[]", '"text"', "{}"])
def test_a_checkpoint_without_a_usable_configuration_is_refused(config: str | None) -> None:
    metadata = {} if config is None else {"config": config}
    text, size = header(plain([f"{BLOCK}.weight"]), metadata)
    with pytest.raises(InvalidError, match="configuration"):
        identify(parse_header(text, size, "a file"), "a file")
