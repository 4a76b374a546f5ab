"""`convert` on a Gemma: whatever its layout, the root equals one that was written plainly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaOutputError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import NF4
from ltx_core.weight_files.gemma import TARGETS, convert_gemma, is_gemma
from safetensors.torch import load_file, save_file

from tests.upstream.gemma_files import rewrite_shards
from tests.upstream.gemma_sources import (
    Made,
    comfy_name,
    rounded,
    text_config,
    values_of,
    write_comfy,
    write_gguf,
)
from tests.upstream.overlay.conftest import CPU, SIZE, MakeEncoders
from tests.upstream.overlay.test_conversion import contents
from verify.campaigns.gemma_reference import assert_equal, from_pretrained, settings_for
from verify.upstream.process import Finished, Pipelines

Tensors = dict[str, torch.Tensor]
VISION = ("vision_tower.", "multi_modal_projector.")


@pytest.fixture(scope="module")
def tensors(bf16_root: Path) -> Tensors:
    """Those of a tiny Gemma, by the hub's names."""
    return {
        name: t for file in bf16_root.glob("*.safetensors") for name, t in load_file(file).items()
    }


@pytest.fixture
def beside(bf16_root: Path, tmp_path: Path) -> Path:
    """The tokenizer, the processor and the config of that Gemma, without its weights."""
    weights = shutil.ignore_patterns("*.safetensors*")
    return Path(shutil.copytree(bf16_root, tmp_path / "beside", ignore=weights))


def _tuned(folder: Path, tensors: Tensors, bf16_root: Path, dtype: torch.dtype) -> Made:
    """A root as transformers 5 saves it, in other weights, without tokenizer and processor."""
    held = {name: tensor.to(dtype) * 1.5 for name, tensor in tensors.items()}
    renamed = {
        f"model.{name}".replace("model.language_model.model.", "model.language_model."): tensor
        for name, tensor in held.items()
    }
    folder.mkdir()
    shutil.copy(bf16_root / "config.json", folder)
    rewrite_shards(folder, renamed, shards=2)
    return Made((folder,), values_of(held))


def _text_alone(folder: Path, tensors: Tensors, bf16_root: Path) -> Made:
    """A tuned Gemma3ForCausalLM; the vision tower is the other root's."""
    held = {n: t * 1.5 if n.startswith("language_model.model.") else t for n, t in tensors.items()}
    folder.mkdir()
    language = {comfy_name(n): t for n, t in held.items() if n.startswith("language_model.model.")}
    rewrite_shards(folder, language, shards=1)
    config = json.loads((bf16_root / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(text_config(config)))
    return Made((folder, bf16_root), values_of(held))


def _without_vision(made: Made, bf16_root: Path, tensors: Tensors) -> Made:
    """The language model's file alone, before a whole root that has the vision tower."""
    whole = values_of(tensors)
    values = {n: whole[n] if n.startswith(VISION) else v for n, v in made.values.items()}
    return Made((made.files[0], bf16_root), values)


Layout = Callable[[Path, Tensors, Path], Made]
LAYOUTS: dict[str, Layout] = {
    "comfy bf16": lambda at, tensors, root: write_comfy(at / "g.safetensors", tensors, ("bf16",)),
    "comfy fp8": lambda at, tensors, root: write_comfy(at / "g.safetensors", tensors, ("fp8",)),
    "comfy fp4_mixed": lambda at, tensors, root: write_comfy(
        at / "g.safetensors", tensors, ("nvfp4", "fp8", "bf16")
    ),
    "gguf": lambda at, tensors, root: write_gguf(at, tensors, SIZE),
    "gguf of 2025": lambda at, tensors, root: write_gguf(at, tensors, SIZE, swapped=True),
    "gguf and a root": lambda at, tensors, root: _without_vision(
        write_gguf(at, tensors, SIZE), root, tensors
    ),
    "tuned root in f32": lambda at, tensors, root: _tuned(
        at / "tuned", tensors, root, torch.float32
    ),
    "tuned root in f16": lambda at, tensors, root: _tuned(
        at / "tuned", tensors, root, torch.float16
    ),
    "tuned text alone": lambda at, tensors, root: _text_alone(at / "text", tensors, root),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS)


@layouts
def test_each_tensor_is_the_sources_value_rounded_to_bf16(
    bf16_root: Path, beside: Path, tmp_path: Path, tensors: Tensors, layout: str
) -> None:
    made = LAYOUTS[layout](tmp_path, tensors, bf16_root)
    before = contents(tmp_path)
    done = convert_gemma([*made.files, beside], tmp_path / "out", "bf16", CPU)
    written = {
        n: t for file in done.output.glob("*.safetensors") for n, t in load_file(file).items()
    }
    assert written.keys() == made.values.keys()
    for name, value in made.values.items():
        found = written[name]
        assert found.dtype == torch.bfloat16, name
        error = np.abs(found.to(torch.float64).numpy() - value)
        # Half a step of bf16, and of the float32 that it goes over; norms of GGUF lose 2**-25 of 1.
        assert (error <= np.abs(value) * 2.0**-8 * (1 + 2.0**-14) + 2.0**-25).all(), name
    out = contents(done.output)
    assert {n: data for n, data in contents(tmp_path).items() if not n.startswith("out/")} == before
    assert {"tokenizer.json", "tokenizer.model", "preprocessor_config.json"} <= out.keys()
    assert done.shards == 1


@layouts
@pytest.mark.parametrize("target", TARGETS)
def test_the_root_opens_in_transformers_and_here_as_one_written_plainly(
    bf16_root: Path,
    beside: Path,
    tmp_path: Path,
    tensors: Tensors,
    make_encoders: MakeEncoders,
    layout: str,
    target: str,
) -> None:
    made = LAYOUTS[layout](tmp_path, tensors, bf16_root)
    plain = Path(shutil.copytree(bf16_root, tmp_path / "plain"))
    rewrite_shards(plain, rounded(made.values), shards=1)
    done = convert_gemma([*made.files, beside], tmp_path / "out", target, CPU)
    method = TARGETS[target]
    theirs = from_pretrained(plain, None if method is None else settings_for(method))
    assert_equal(from_pretrained(done.output), theirs)
    assert_equal(make_encoders(done.output).text_encoder().model, theirs)


def test_each_layout_is_told_from_what_is_no_gemma(
    bf16_root: Path, beside: Path, tmp_path: Path, tensors: Tensors
) -> None:
    for number, layout in enumerate(LAYOUTS.values()):
        (folder := tmp_path / str(number)).mkdir()
        made = layout(folder, tensors, bf16_root)
        assert all(map(is_gemma, made.files))
    assert is_gemma(beside)
    other = tmp_path / "other.safetensors"
    save_file({"transformer_blocks.0.attn1.to_q.weight": torch.zeros(2, 2)}, other)
    assert not is_gemma(other)
    (empty := tmp_path / "empty").mkdir()
    assert not is_gemma(empty)
    (pipeline := tmp_path / "pipeline").mkdir()
    shutil.copytree(bf16_root, pipeline / "text_encoder")
    (pipeline / "model_index.json").write_text("{}")
    assert not is_gemma(pipeline)
    assert is_gemma(pipeline / "text_encoder")


# --- refusals, each before anything is written ---


def test_what_is_missing_is_named_with_what_completes_it(
    bf16_root: Path, beside: Path, tmp_path: Path, tensors: Tensors
) -> None:
    gguf = write_gguf(tmp_path, tensors, SIZE)
    comfy = write_comfy(tmp_path / "comfy.safetensors", tensors, ("bf16",))
    less = tmp_path / "less.safetensors"
    held = load_file(comfy.files[0])
    held.pop("model.layers.1.mlp.up_proj.weight")
    save_file(held, less)
    wider = tmp_path / "wider.safetensors"
    save_file({**held, "model.layers.1.mlp.up_proj.weight": torch.zeros(64, 64)}, wider)
    without_tokenizer = Path(shutil.copytree(beside, tmp_path / "without-tokenizer"))
    (without_tokenizer / "tokenizer.model").unlink()
    quantized = convert_root(bf16_root, tmp_path / "quantized", NF4, CPU).output
    before = contents(tmp_path)
    for inputs, said in {
        (gguf.files[0], beside): "lacks multi_modal_projector.mm_input_projection_weight and ",
        (less, beside): "less.safetensors lacks language_model.layers.1.mlp.up_proj.weight",
        (wider, beside): r"wider.safetensors is \(64, 64\) where the model has \(128, 64\)",
        comfy.files: "has no settings of a Gemma beside it",
        (*comfy.files, without_tokenizer): "no tokenizer.model lies under",
        (quantized, beside): "already quantized to 4bit",
    }.items():
        with pytest.raises(GemmaRootError, match=said):
            convert_gemma(inputs, tmp_path / "out", "bf16", CPU)
    with pytest.raises(GemmaOutputError, match="exists already"):
        convert_gemma([*comfy.files, beside], without_tokenizer, "bf16", CPU)
    with pytest.raises(GemmaOutputError, match="lies inside"):
        convert_gemma([*comfy.files, beside], beside / "out", "bf16", CPU)
    assert contents(tmp_path) == before


def test_a_quantized_root_behind_a_file_gives_what_it_holds_in_floats(
    bf16_root: Path, tmp_path: Path, tensors: Tensors
) -> None:
    """Its config says nothing of the output, and its language model is left alone."""
    made = _without_vision(write_gguf(tmp_path, tensors, SIZE), bf16_root, tensors)
    quantized = convert_root(bf16_root, tmp_path / "quantized", NF4, CPU).output
    done = convert_gemma([made.files[0], quantized], tmp_path / "out", "bf16", CPU)
    again = convert_gemma([*made.files], tmp_path / "again", "bf16", CPU)
    assert_equal(from_pretrained(done.output), from_pretrained(again.output))
    assert "quantization_config" not in json.loads((done.output / "config.json").read_text())


def test_the_script_converts_a_gemma_and_refuses_a_transformers_target(
    beside: Path, tmp_path: Path, tensors: Tensors, patched: Pipelines
) -> None:
    made = write_comfy(tmp_path / "comfy.safetensors", tensors, ("fp8",))
    out = tmp_path / "out"

    def convert(to: str, *inputs: Path) -> Finished:
        argv = [*map(str, inputs), "--output", str(out), "--to", to]
        return patched.run("ltx_pipelines.convert", argv)

    refused = convert("int8", *made.files, beside)
    assert refused.code == 2
    assert "--to int8 is not for a Gemma; give bf16 or 4bit or 8bit" in refused.last_line
    done = convert("4bit", *made.files, beside)
    assert done.code == 0
    assert done.out.startswith(f"{out}: Gemma, 4bit, ")
    again = convert("4bit", *made.files, beside)
    assert (again.code, "Traceback" in again.err) == (GemmaOutputError.exit_code, False)
    missing = convert("bf16", *made.files)
    assert (missing.code, "Traceback" in missing.err) == (GemmaRootError.exit_code, False)
