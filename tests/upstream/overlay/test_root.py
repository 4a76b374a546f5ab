from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.methods import FP4, INT8, NF4, Method
from ltx_core.text_encoders.gemma.quantized.root import (
    find_model,
    read_config,
    read_shards,
    require_model,
    stated_methods,
)


@pytest.fixture
def root(bf16_root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bf16_root, tmp_path / "root")


def test_shards_are_read_in_full(root: Path) -> None:
    shards = read_shards(root)
    assert len(shards.files) == 3
    assert len({tensor.name for tensor in shards.tensors}) == len(shards.tensors)


def test_files_that_the_index_does_not_name_are_left_alone(root: Path) -> None:
    named = read_shards(root)
    shutil.copy(named.files[0], root / "model-extra.safetensors")
    assert read_shards(root) == named


@pytest.mark.parametrize("indexed", [True, False])
def test_a_missing_shard_is_named(root: Path, indexed: bool) -> None:
    lost = root / "model-00002-of-00003.safetensors"
    lost.rename(root / "model-two.safetensors")
    if not indexed:
        (root / "model.safetensors.index.json").unlink()
    with pytest.raises(GemmaRootError, match=r"lacks model-00002-of-00003.safetensors") as caught:
        read_shards(root)
    assert caught.value.remedy == "download it again, or give it back its name"


def test_a_tensor_in_two_files_is_refused(root: Path) -> None:
    (root / "model.safetensors.index.json").unlink()
    shutil.copy(root / "model-00001-of-00003.safetensors", root / "model.safetensors")
    with pytest.raises(GemmaRootError, match="is in both"):
        read_shards(root)


def test_a_damaged_index_is_refused(root: Path) -> None:
    (root / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(GemmaRootError, match=r"index.json cannot be read"):
        read_shards(root)


def test_the_model_is_found_below_the_root(root: Path) -> None:
    assert require_model(root.parent) == find_model(root.parent) == root


def test_a_root_without_shards_or_with_two_models_is_refused(root: Path, tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(GemmaRootError, match=r"no model\*.safetensors lies under"):
        require_model(empty)
    with pytest.raises(GemmaRootError, match="no model"):
        require_model(tmp_path / "absent")
    shutil.copytree(root, tmp_path / "second")
    with pytest.raises(GemmaRootError, match="several models"):
        require_model(tmp_path)


@pytest.mark.parametrize(
    ("settings", "stated"),
    [
        (None, ()),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}, (NF4, FP4)),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, (INT8,)),
        ({"load_in_8bit": True}, (INT8,)),
    ],
)
def test_config_says_how_a_root_is_quantized(
    settings: dict[str, object] | None, stated: tuple[Method, ...]
) -> None:
    assert stated_methods({"quantization_config": settings}, Path("root")) == stated


def test_other_quantizations_are_refused_by_name() -> None:
    with pytest.raises(GemmaRootError, match="quantized with gptq"):
        stated_methods({"quantization_config": {"quant_method": "gptq", "bits": 4}}, Path("root"))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"text_config": []}', '{"quantization_config": "bitsandbytes"}']
)
def test_a_damaged_config_is_refused(root: Path, text: str) -> None:
    (root / "config.json").write_text(text)
    with pytest.raises(GemmaRootError, match=r"config.json"):
        read_config(root)


def test_a_root_may_have_no_config(root: Path) -> None:
    assert read_config(root) == json.loads((root / "config.json").read_text())
    (root / "config.json").unlink()
    assert read_config(root) == {}
