"""Roots of Gemma that are not what they should be are refused before any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import (
    GemmaQuantizationError,
    GemmaRootError,
)
from ltx_core.text_encoders.gemma.quantized.methods import NF4, Method

from tests.upstream.gemma_files import random_model, rewrite_shards, write_root
from tests.upstream.overlay.conftest import FLAGS, SIZE, MakeEncoders, methods, tensors_of
from verify.campaigns.gemma_reference import (
    from_pretrained,
    settings_for,
)


@pytest.fixture
def damaged(bf16_root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bf16_root, tmp_path / "damaged")


@methods
def test_a_missing_key_is_an_error_before_any_work(
    damaged: Path, make_encoders: MakeEncoders, method: Method
) -> None:
    tensors = tensors_of(damaged)
    del tensors["language_model.model.layers.1.mlp.up_proj.weight"]
    rewrite_shards(damaged, tensors, shards=2)
    with pytest.raises(
        GemmaRootError, match=r"lacks model.model.language_model.layers.1.mlp.up_proj.weight; "
    ):
        make_encoders(damaged, **FLAGS[method])


def test_a_missing_key_of_a_prequantized_root_is_an_error_too(
    damaged: Path, make_encoders: MakeEncoders
) -> None:
    for file in damaged.glob("model*"):
        file.unlink()
    source = damaged.parent / "source"
    write_root(source, random_model(SIZE, dtype=torch.bfloat16))
    from_pretrained(source, settings_for(NF4)).save_pretrained(damaged)
    tensors = tensors_of(damaged)
    absmax = "language_model.model.layers.0.mlp.up_proj.weight.absmax"
    for lost, said in {
        "language_model.model.norm.weight": "lacks model.model.language_model.norm.weight",
        absmax: f"lacks {absmax}",
    }.items():
        rewrite_shards(
            damaged, {name: tensor for name, tensor in tensors.items() if name != lost}, shards=1
        )
        with pytest.raises(GemmaRootError, match=said):
            make_encoders(damaged)


def test_a_truncated_shard_is_refused(damaged: Path, make_encoders: MakeEncoders) -> None:
    shard = damaged / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(GemmaRootError, match="bytes where its header says"):
        make_encoders(damaged, gemma_4bit=True)


def test_a_renamed_shard_is_refused(damaged: Path, make_encoders: MakeEncoders) -> None:
    (damaged / "model-00002-of-00003.safetensors").rename(damaged / "second.safetensors")
    with pytest.raises(GemmaRootError, match=r"lacks model-00002-of-00003.safetensors"):
        make_encoders(damaged, gemma_4bit=True)


def test_a_root_without_shards_is_refused(tmp_path: Path, make_encoders: MakeEncoders) -> None:
    with pytest.raises(
        GemmaRootError, match="give the folder that the Gemma repository was downloaded to"
    ):
        make_encoders(tmp_path, gemma_8bit=True)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"intermediate_size": 192}, "where the model has"),
        (
            {"num_hidden_layers": 1, "layer_types": ["sliding_attention"]},
            "quantized layers that the model lacks",
        ),
    ],
)
def test_shards_of_another_size_than_config_json_says_are_refused(
    damaged: Path, make_encoders: MakeEncoders, size: dict[str, object], said: str
) -> None:
    config = json.loads((damaged / "config.json").read_text())
    config["text_config"] |= size
    (damaged / "config.json").write_text(json.dumps(config))
    with pytest.raises(GemmaRootError, match=said):
        make_encoders(damaged, gemma_4bit=True)


@pytest.mark.parametrize("forgotten", [True, False])
def test_config_and_shards_must_agree(
    damaged: Path, make_encoders: MakeEncoders, forgotten: bool
) -> None:
    config = json.loads((damaged / "config.json").read_text())
    if forgotten:
        for file in damaged.glob("model*"):
            file.unlink()
        source = write_root(damaged.parent / "source", random_model(SIZE, dtype=torch.bfloat16))
        from_pretrained(source, settings_for(NF4)).save_pretrained(damaged)
    else:
        config["quantization_config"] = settings_for(NF4).to_dict()
    (damaged / "config.json").write_text(json.dumps(config))
    with pytest.raises(GemmaRootError, match=r"not quantized as its config.json says"):
        make_encoders(damaged, gemma_4bit=True)


def test_fp8_shards_are_refused(damaged: Path, make_encoders: MakeEncoders) -> None:
    tensors = tensors_of(damaged)
    name = "language_model.model.layers.0.mlp.up_proj.weight"
    rewrite_shards(damaged, {**tensors, name: tensors[name].to(torch.float8_e4m3fn)}, shards=1)
    with pytest.raises(GemmaRootError, match="F8_E4M3 without the scales"):
        make_encoders(damaged, gemma_4bit=True)


def test_every_error_is_one_sentence_with_a_remedy(
    tmp_path: Path, make_encoders: MakeEncoders
) -> None:
    with pytest.raises(GemmaQuantizationError) as caught:
        make_encoders(tmp_path, gemma_4bit=True)
    error = caught.value
    assert str(error) == f"{error.fact}; {error.remedy}"
    assert "\n" not in str(error)
    assert isinstance(error, ValueError)
