"""A Gemma root: its size, its quantization in every published form, and what it lacks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.gemma import GemmaFiles, identify_gemma, packed_files
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.rules.models.safetensors_header import parse_header
from ltx2_patcher.values.errors import InvalidError
from tests.weight_files import (
    RELEASED,
    TINY_GEMMA,
    TINY_GEMMA_4,
    Spec,
    header,
    packed_gemma,
    plain,
)

LINEAR = "language_model.model.layers.0.mlp.up_proj"
BESIDE = frozenset({"tokenizer.model", "preprocessor_config.json"})


def _files(tensors: Spec, model: object = TINY_GEMMA, **changed: object) -> GemmaFiles:
    shard = parse_header(*header(tensors), "a shard")
    fields: dict[str, object] = {
        "config": json.dumps(model).encode(),
        "index": None,
        "shards": {"model.safetensors": shard},
        "beside": BESIDE,
        "packed": False,
    }
    return GemmaFiles(**{**fields, **changed})  # type: ignore[arg-type]


def test_the_released_gemma_is_known() -> None:
    config = RELEASED["Gemma 3 12B"]["config"]
    found = identify_gemma(_files(plain(gemma_keys(config)), config), "root")
    assert (found.name, found.width, found.layers) == ("Gemma 3 12B", 3840, 48)
    assert (found.quantization, found.detail) == (None, "bf16")
    assert (found.missing, found.faults) == ((), ())
    assert found.context_width == 188160
    assert found.linear_elements == 48 * 7 * 4


def test_the_newer_layout_is_the_same_model() -> None:
    newer = {
        "model." + name.replace("language_model.model.", "language_model."): tensor
        for name, tensor in plain(gemma_keys(TINY_GEMMA)).items()
    }
    found = identify_gemma(_files({**newer, "lm_head.weight": ("BF16", (2, 2))}), "root")
    assert (found.missing, found.newer_layout) == ((), True)
    published = identify_gemma(_files(plain(gemma_keys(TINY_GEMMA))), "root")
    assert not published.newer_layout


@pytest.mark.parametrize(
    ("beside", "quantization", "detail"),
    [
        (
            {
                f"{LINEAR}.weight": ("U8", (2, 1)),
                f"{LINEAR}.weight.absmax": ("U8", (1,)),
                f"{LINEAR}.weight.nested_absmax": ("F32", (1,)),
                f"{LINEAR}.weight.quant_state.bitsandbytes__nf4": ("U8", (9,)),
            },
            "4bit",
            "nf4, double quantization",
        ),
        (
            {
                f"{LINEAR}.weight": ("U8", (2, 1)),
                f"{LINEAR}.weight.quant_state.bitsandbytes__fp4": ("U8", (9,)),
            },
            "4bit",
            "fp4, single quantization",
        ),
        (
            {f"{LINEAR}.weight": ("I8", (2, 2)), f"{LINEAR}.SCB": ("F32", (2,))},
            "8bit",
            "LLM.int8",
        ),
    ],
)
def test_what_is_quantized_already_is_told(beside: Spec, quantization: str, detail: str) -> None:
    tensors = {**plain(gemma_keys(TINY_GEMMA)), **beside}
    found = identify_gemma(_files(tensors), "root")
    assert (found.quantization, found.detail, found.missing) == (quantization, detail, ())


@pytest.mark.parametrize(
    ("dtype", "lost"),
    [
        ("U8", f"{LINEAR}.weight.quant_state.bitsandbytes__*"),
        ("I8", f"{LINEAR}.SCB"),
    ],
)
def test_a_packed_weight_without_its_state_is_missing_something(dtype: str, lost: str) -> None:
    tensors = {**plain(gemma_keys(TINY_GEMMA)), f"{LINEAR}.weight": (dtype, (2, 1))}
    assert identify_gemma(_files(tensors), "root").missing == (lost,)


def test_shards_are_held_against_the_index() -> None:
    tensors = plain(gemma_keys(TINY_GEMMA))
    index = {"weight_map": dict.fromkeys(tensors, "model.safetensors")}
    index["weight_map"]["lost.weight"] = "model-00002-of-00002.safetensors"
    index["weight_map"]["astray.weight"] = "model.safetensors"
    files = _files(tensors, index=json.dumps(index).encode())
    stray = {**files.shards, "extra.safetensors": parse_header(*header({}), "")}
    faults = identify_gemma(_files(tensors, index=files.index, shards=stray), "root").faults
    assert faults == (
        "shard model-00002-of-00002.safetensors is missing",
        "astray.weight is not in the shard that the index names for it",
        "extra.safetensors is none of the index's shards, yet would be loaded",
    )


def test_without_an_index_the_shards_numbers_tell() -> None:
    shard = parse_header(*header(plain(gemma_keys(TINY_GEMMA))), "a shard")
    shards = {"model-00002-of-00003.safetensors": shard}
    faults = identify_gemma(_files({}, shards=shards, beside=frozenset()), "root").faults
    assert faults == (
        "shard 1 of 3 is missing",
        "shard 3 of 3 is missing",
    )


def test_the_released_gemma_4_is_known() -> None:
    config = RELEASED["Gemma 4 12B"]["config"]
    found = identify_gemma(_files(plain(gemma_keys(config)), config), "root")
    assert (found.name, found.kind, found.version) == (
        "Gemma 4 12B",
        "gemma4_unified",
        "gemma4-12b-ltx-v1",
    )
    assert (found.missing, found.faults, found.newer_layout) == ((), (), False)
    assert found.context_width == 188160
    assert found.linear_elements == (48 * 7 - 8) * 4  # eight layers take their keys as values


def test_a_packed_gemma_is_the_same_model_with_more_beside() -> None:
    tensors, metadata = packed_gemma()
    files = packed_files(parse_header(*header(tensors, metadata), "a file"), "folder/a file")
    assert files is not None
    found = identify_gemma(files, "folder/a file")
    assert (found.name, found.packed, found.missing) == ("Gemma 4 64 wide, 2 layers", True, ())
    assert found.projection_width == found.context_width == 192
    assert found.beside >= {"tokenizer.json", "tokenizer_config.json", "processor_config.json"}
    root = identify_gemma(_files(plain(gemma_keys(TINY_GEMMA_4)), TINY_GEMMA_4), "root")
    assert (found.linear_elements, found.elements) == (root.linear_elements, root.elements)
    assert found.bytes > root.bytes
    del tensors["model.layers.0.layer_scalar"]
    less = packed_files(parse_header(*header(tensors, metadata), "a file"), "a file")
    assert less is not None
    assert identify_gemma(less, "a file").missing == ("model.language_model.layers.0.layer_scalar",)
    assert packed_files(parse_header(*header(tensors), "a file"), "a file") is None


def test_a_quantized_gemma_4_is_told() -> None:
    linear = "model.language_model.layers.0.mlp.up_proj"
    tensors = {
        **plain(gemma_keys(TINY_GEMMA_4)),
        f"{linear}.weight": ("I8", (2, 2)),
        f"{linear}.SCB": ("F32", (2,)),
    }
    found = identify_gemma(_files(tensors, TINY_GEMMA_4), "root")
    assert (found.quantization, found.missing) == ("8bit", ())


def test_an_instruct_gemma_4_is_known_by_its_configuration_alone() -> None:
    config = {**TINY_GEMMA_4, "model_type": "gemma4"}
    found = identify_gemma(_files(plain(["model.language_model.norm.weight"]), config), "root")
    assert (found.name, found.missing) == ("Gemma 4 64 wide, 2 layers (instruct)", ())


@pytest.mark.parametrize("kind", ["gemma3_text", "qwen2_vl", None])
def test_another_model_is_refused(kind: str | None) -> None:
    config = {**TINY_GEMMA, "model_type": kind}
    with pytest.raises(InvalidError, match=repr(kind)):
        identify_gemma(_files({}, config), "root")


@given(st.binary())
def test_any_config_is_read_or_refused(config: bytes) -> None:
    with pytest.raises(InvalidError):
        identify_gemma(_files({}, config=config), "root")


@pytest.mark.parametrize(
    ("processor", "nests"),
    [
        (b'{"image_processor": {"size": 1}, "processor_class": "Gemma3Processor"}', True),
        (b'{"image_seq_length": 256, "processor_class": "Gemma3Processor"}', False),
        (b'{"image_processor": null}', False),
        (b"[]", False),
        (b"{", False),
        (None, False),
    ],
)
def test_a_nested_image_processor_is_told(processor: bytes | None, nests: bool) -> None:
    found = identify_gemma(_files(plain(gemma_keys(TINY_GEMMA)), processor=processor), "root")
    assert found.nests_image_processor is nests
