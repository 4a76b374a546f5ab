"""A path is taken for what it is: a file, a Gemma root, or nothing we know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ltx2_patcher.jobs.models.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.rules.models.architecture import duration_head_keys
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.weights import GemmaRoot, Lora, ModelPart
from tests.conftest import files
from tests.weight_files import RELEASED, packed_gemma, plain, write, write_gemma


def test_a_folder_is_a_gemma_and_a_file_is_what_its_names_say(tmp_path: Path) -> None:
    gemma = inspect(write_gemma(tmp_path / "gemma"))
    lora = write(tmp_path / "a.safetensors", plain(["diffusion_model.x.lora_A.weight"]))
    before = files(tmp_path)
    assert isinstance(gemma, GemmaRoot)
    assert (gemma.size, gemma.missing, gemma.shards) == ("64 wide, 2 layers", (), 2)
    assert isinstance(inspect(lora), Lora)
    assert files(tmp_path) == before


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    lora = write(tmp_path / "a.safetensors", plain(["diffusion_model.x.lora_A.weight"]))
    with pytest.raises(InvalidError, match="no LTX-2 checkpoint"):
        inspect_checkpoint(lora)
    with pytest.raises(UsageError, match="does not exist"):
        inspect(tmp_path / "none")
    (tmp_path / "page.safetensors").write_text("<!DOCTYPE html><title>401</title>")
    with pytest.raises(InvalidError, match="is a web page"):
        inspect(tmp_path / "page.safetensors")


def test_a_packed_gemma_and_a_part_of_a_split_model_are_told(tmp_path: Path) -> None:
    packed = write(tmp_path / "text_encoder.safetensors", *packed_gemma())
    assert inspect(packed) == inspect_gemma(packed)
    assert inspect_gemma(packed).name == "Gemma 4 64 wide, 2 layers"
    config = json.dumps(RELEASED["LTX-2.5 22B"]["config"])
    part = write(tmp_path / "head.safetensors", plain(duration_head_keys()), {"config": config})
    assert isinstance(inspect(part), ModelPart)
    with pytest.raises(InvalidError, match="no Gemma packed into one file"):
        inspect_gemma(part)
    with pytest.raises(InvalidError, match="a duration head"):
        inspect_checkpoint(part)
    with pytest.raises(UsageError, match="is a folder"):
        inspect_checkpoint(tmp_path)
