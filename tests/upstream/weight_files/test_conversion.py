"""A transformer of any layout becomes a checkpoint of upstream's, or a sentence says why not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from ltx_core.weight_files import IncompleteModel, UnreadableFile, UnwritableOutput, WeightFileError
from ltx_core.weight_files.conversion import Conversion, Scope, convert_model
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX, Part
from ltx_core.weight_files.plan import Target
from safetensors.torch import load_file, save_file

from tests.upstream.patches.fp8 import in_fp8, ledger
from tests.upstream.weight_files import ggml_values
from tests.upstream.weight_files import made_layers as made
from tests.upstream.weight_files.conftest import Tensors, TinyModel
from tests.upstream.weight_files.made_layers import MadeLayer, Values, assert_rounded
from tests.upstream.weight_files.test_gguf_file import Stored, write
from tests.upstream.weight_files.test_model_parts import named_by_diffusers
from verify.upstream.process import Pipelines

pytestmark = pytest.mark.core

Make = Callable[[int, int, int], MadeLayer]
LAYOUTS: dict[str, Make] = {
    "fp8": made.fp8_scaled,
    "fp8 by rows": lambda n, k, s: made.fp8_scaled(n, k, s, (n, 1), marked=False),
    "int8": lambda n, k, s: made.int8(n, k, s, (n, 1)),
    "int8, one scale": made.int8,
    "int8, rotated": lambda n, k, s: made.int8(n, k, s, (n, 1), 256 if k % 256 == 0 else 16),
    "mxfp8": made.mxfp8,
    "nvfp4": made.nvfp4,
}


def made_transformer(
    model: TinyModel, make: Make, path: Path
) -> tuple[Mapping[str, Values], Mapping[str, MadeLayer]]:
    """A transformer for ComfyUI at `path`: what each tensor stands for, and the layers made."""
    tensors: Tensors = {}
    values: dict[str, Values] = {}
    layers = {}
    for number, (name, tensor) in enumerate(model.of(Part.TRANSFORMER).items()):
        bare = name.removeprefix(TRANSFORMER_PREFIX)
        if name in model.block_weights:
            layers[name] = make(tensor.shape[0], tensor.shape[1], number)
            tensors.update(layers[name].named(bare.removesuffix(".weight")))
            values[name] = layers[name].values
        else:
            tensors[bare] = tensor
            values[name] = tensor.double().numpy()
    save_file(tensors, path, model.metadata)
    return values, layers


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("target", [Target.BF16, Target.FP8], ids=lambda target: target.value)
def test_each_value_is_the_layouts_own_within_the_targets_rounding(
    model: TinyModel, tmp_path: Path, layout: str, target: Target
) -> None:
    values, layers = made_transformer(model, LAYOUTS[layout], tmp_path / "in.safetensors")
    output = tmp_path / "out.safetensors"
    done = convert_model([tmp_path / "in.safetensors"], output, target, Scope.GIVEN)
    read = load_file(output)
    assert read.keys() == values.keys()
    narrow = torch.float8_e4m3fn if target is Target.FP8 else torch.bfloat16
    for name, expected in values.items():
        is_narrow = name in layers or name.removesuffix("bias") + "weight" in layers
        assert_rounded(read[name], expected, narrow if is_narrow else torch.bfloat16)
    assert done.parts == {Part.TRANSFORMER: tmp_path / "in.safetensors"}
    assert Part.VOCODER in done.missing


@pytest.mark.parametrize("layout", ["fp8", "mxfp8", "nvfp4"])
def test_int8_is_rotated_rows_within_half_a_step(
    model: TinyModel, tmp_path: Path, layout: str
) -> None:
    values, layers = made_transformer(model, LAYOUTS[layout], tmp_path / "in.safetensors")
    output = tmp_path / "out.safetensors"
    convert_model([tmp_path / "in.safetensors"], output, Target.INT8, Scope.GIVEN)
    read = load_file(output)
    rotated = 0
    for name in layers:
        layer = name.removesuffix(".weight")
        marker = json.loads(read.pop(f"{layer}.comfy_quant").numpy().tobytes())
        codes, scales = read.pop(name), read.pop(f"{name}_scale")
        assert (codes.dtype, scales.dtype) == (torch.int8, torch.float32)
        assert scales.shape == (codes.shape[0], 1)
        true = values[name]
        if marker != {"format": "int8_tensorwise"}:
            group = next(size for size in (256, 64, 16) if true.shape[1] % size == 0)
            assert marker == {
                "format": "int8_tensorwise",
                "convrot": True,
                "convrot_groupsize": group,
            }
            matrix = made.regular_hadamard(group)
            true = np.concatenate(
                [true[:, at : at + group] @ matrix for at in range(0, true.shape[1], group)], axis=1
            )
            rotated += 1
        steps = scales.double().numpy()
        assert np.allclose(steps[:, 0], np.abs(true).max(axis=1) / 127, rtol=1e-5)
        assert (np.abs(codes.double().numpy() * steps - true) <= steps * 0.5001).all()
    assert rotated == len([name for name in layers if values[name].shape[1] % 16 == 0]) > 0
    rest = {name: tensor for name, tensor in model.of(Part.TRANSFORMER).items() if name in read}
    assert_same(read, rest)


@pytest.mark.parametrize("layout", ["int8", "int8, one scale", "int8, rotated"])
def test_what_is_int8_already_is_passed_on(model: TinyModel, tmp_path: Path, layout: str) -> None:
    _, layers = made_transformer(model, LAYOUTS[layout], tmp_path / "in.safetensors")
    convert_model(
        [tmp_path / "in.safetensors"], tmp_path / "out.safetensors", Target.INT8, Scope.GIVEN
    )
    read = load_file(tmp_path / "out.safetensors")
    for name, made_layer in layers.items():
        assert made_layer.codes is not None
        codes, scales, group = made_layer.codes
        assert torch.equal(read[name], codes)
        assert torch.equal(read[f"{name}_scale"], scales.unsqueeze(1))
        marker = json.loads(read[name.removesuffix("weight") + "comfy_quant"].numpy().tobytes())
        assert marker.get("convrot_groupsize") == group


@pytest.mark.parametrize("target", [Target.BF16, Target.FP8], ids=lambda target: target.value)
def test_upstream_loads_what_it_would_have_made(
    model: TinyModel, tmp_path: Path, target: Target
) -> None:
    """From the published checkpoint, in bf16 or kept in fp8, from the converted one the same."""
    output = tmp_path / "out.safetensors"
    convert_model([model.files.checkpoint], output, target, Scope.ONE_FILE)
    theirs, ours = (
        ledger(path, **(in_fp8(path) if target is Target.FP8 else {})).transformer().state_dict()
        for path in (model.files.checkpoint, output)
    )
    assert any(tensor.dtype == torch.float8_e4m3fn for tensor in ours.values()) == (
        target is Target.FP8
    )
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name].float(), tensor.float()), name


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_gguf_is_read_as_its_types_stand_for(model: TinyModel, tmp_path: Path, kind: str) -> None:
    tensors: dict[str, Stored] = {}
    values: dict[str, Values] = {}
    for number, (name, tensor) in enumerate(model.of(Part.TRANSFORMER).items()):
        bare = name.removeprefix(TRANSFORMER_PREFIX)
        if name in model.block_weights:
            data, values[name] = ggml_values.made(kind, tensor.shape[0], tensor.shape[1], number)
            tensors[bare] = (kind, data)
        else:
            tensors[bare] = ("F32", tensor.float().numpy())
            values[name] = tensor.double().numpy()
    write(tmp_path / "in.gguf", tensors, config=model.metadata["config"])
    output = tmp_path / "out.safetensors"
    convert_model([tmp_path / "in.gguf"], output, Target.BF16, Scope.GIVEN)
    read = load_file(output)
    assert read.keys() == values.keys()
    for name, expected in values.items():
        is_layer = name.endswith((".weight", ".bias"))
        assert_rounded(read[name], expected, torch.bfloat16 if is_layer else torch.float32)
    metadata = read_header(output).metadata
    assert json.loads(metadata.pop("config")) == json.loads(model.metadata["config"])
    assert metadata == {"format": "pt"}


def assert_same(read: Tensors, expected: Tensors) -> None:
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype, name
        assert torch.equal(read[name], tensor), name


def assert_is_checkpoint(output: Path, model: TinyModel) -> None:
    """Tensor by tensor and in what it says of itself, the checkpoint that the pieces are of."""
    assert_same(load_file(output), model.tensors)
    metadata = read_header(output).metadata
    assert json.loads(metadata.pop("config")) == json.loads(model.metadata["config"])
    assert metadata == {"format": "pt", "model_version": model.metadata["model_version"]}


def test_pieces_for_comfyui_are_joined_into_the_checkpoint_that_they_are_of(
    model: TinyModel, tmp_path: Path
) -> None:
    pieces = model.split(tmp_path / "pieces")
    output = tmp_path / "out.safetensors"
    done = convert_model([*set(pieces.values())], output, Target.BF16, Scope.ONE_FILE)
    assert_is_checkpoint(output, model)
    assert done.parts == pieces
    assert done.missing == ()


def test_a_folder_of_diffusers_is_read_by_its_index(model: TinyModel, tmp_path: Path) -> None:
    pieces = model.split(tmp_path / "pieces")
    folder = tmp_path / "diffusers"
    for name, parts in {
        "transformer": (Part.TRANSFORMER,),
        "connectors": (Part.CONNECTORS, Part.PROJECTION),
    }.items():
        (folder / name).mkdir(parents=True)
        tensors = {named_by_diffusers(n): t for n, t in model.of(*parts).items()}
        half = len(tensors) // 2
        shards = [dict(list(tensors.items())[:half]), dict(list(tensors.items())[half:])]
        weight_map = {}
        for number, shard in enumerate(shards, 1):
            file = f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
            save_file(shard, folder / name / file)
            weight_map.update(dict.fromkeys(shard, file))
        index = folder / name / "diffusion_pytorch_model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
    output = tmp_path / "out.safetensors"
    inputs = [folder, pieces[Part.VIDEO_VAE], pieces[Part.AUDIO_VAE]]
    convert_model(inputs, output, Target.BF16, Scope.ONE_FILE)
    assert_is_checkpoint(output, model)
    (folder / "transformer" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnreadableFile, match=r"lacks diffusion_pytorch_model-00002-of-00002"):
        convert_model(inputs, tmp_path / "again.safetensors", Target.BF16, Scope.ONE_FILE)


def test_the_first_file_with_a_part_gives_it(model: TinyModel, tmp_path: Path) -> None:
    """A transformer of one's own, and all else from the published checkpoint."""
    own = {name: tensor * 2 for name, tensor in model.of(Part.TRANSFORMER).items()}
    save_file(own, tmp_path / "own.safetensors")
    inputs = [tmp_path / "own.safetensors", model.files.checkpoint]
    done = convert_model(inputs, tmp_path / "out.safetensors", Target.BF16, Scope.ONE_FILE)
    assert_same(load_file(tmp_path / "out.safetensors"), {**model.tensors, **own})
    assert done.parts[Part.TRANSFORMER] == inputs[0]
    assert done.parts[Part.VIDEO_VAE] == inputs[1]


def test_for_comfyui_the_transformer_and_its_connectors_are_written(
    model: TinyModel, tmp_path: Path
) -> None:
    output = tmp_path / "out.safetensors"
    done = convert_model([model.files.checkpoint], output, Target.BF16, Scope.TRANSFORMER)
    assert_same(load_file(output), model.of(Part.TRANSFORMER, Part.CONNECTORS))
    assert Part.VIDEO_VAE in done.missing


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_layers_are_bf16_whatever_they_were(
    model: TinyModel, tmp_path: Path, dtype: torch.dtype
) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in model.of(Part.TRANSFORMER).items()}
    save_file(tensors, tmp_path / "in.safetensors", model.metadata)
    convert_model(
        [tmp_path / "in.safetensors"], tmp_path / "out.safetensors", Target.BF16, Scope.GIVEN
    )
    for name, tensor in load_file(tmp_path / "out.safetensors").items():
        is_layer = name.endswith((".weight", ".bias"))
        assert tensor.dtype == (torch.bfloat16 if is_layer else dtype), name
        assert torch.equal(tensor.double(), tensors[name].to(tensor.dtype).double())


# --- refusals, each before anything is written ---


def refusals(model: TinyModel, folder: Path) -> dict[str, tuple[list[Path], Target, str]]:
    pieces = model.split(folder / "pieces")
    transformer = model.of(Part.TRANSFORMER)

    def file(name: str, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
        save_file(tensors, path := folder / f"{name}.safetensors", metadata)
        return path

    def changed(name: str, change: Callable[[Tensors], object]) -> Path:
        change(tensors := dict(transformer))
        return file(name, tensors, model.metadata)

    block = f"{TRANSFORMER_PREFIX}transformer_blocks.1."
    weight = f"{block}attn1.to_q.weight"
    others = [pieces[part] for part in (Part.PROJECTION, Part.VIDEO_VAE, Part.AUDIO_VAE)]

    def set_first(tensors: Tensors, value: float) -> None:
        tensors[weight] = tensors[weight].clone()
        tensors[weight][0, 0] = value

    return {
        "no transformer": (others, Target.BF16, "there is no transformer in"),
        "no VAEs": (
            [pieces[Part.TRANSFORMER]],
            Target.BF16,
            "text connectors, text projection, vi",
        ),
        "no configuration": (
            [file("silent", transformer), *others[:1]],
            Target.BF16,
            "no file given says how the transformer is built",
        ),
        "no block": (
            [
                changed(
                    "short", lambda t: [t.pop(name) for name in list(t) if name.startswith(block)]
                ),
                *others,
            ],
            Target.BF16,
            "short.safetensors lacks blocks of its 2: 1",
        ),
        "a hole": (
            [changed("hole", lambda t: t.pop(weight)), *others],
            Target.BF16,
            "lacks attn1.to_q.weight of 1 blocks",
        ),
        "another model": (
            [file("gemma", {"language_model.model.norm.weight": torch.zeros(4)})],
            Target.BF16,
            "holds no part of an LTX-2",
        ),
        "not finite": (
            [changed("nan", lambda t: set_first(t, torch.nan)), *others],
            Target.INT8,
            "holds values that are not finite",
        ),
        "too large": (
            [changed("large", lambda t: set_first(t, 1e4)), *others],
            Target.FP8,
            "holds values up to 9984, and fp8 ends at 448",
        ),
        "no such file": ([folder / "none.safetensors"], Target.BF16, "cannot be read"),
        "no weights": ([Path(__file__)], Target.BF16, "is no file of weights that is read here"),
    }


CASES = (
    *("no transformer", "no VAEs", "no configuration", "no block", "a hole", "another model"),
    *("not finite", "too large", "no such file", "no weights"),
)


@pytest.mark.parametrize("case", CASES)
def test_what_makes_no_checkpoint_is_refused_in_a_sentence(
    model: TinyModel, tmp_path: Path, case: str
) -> None:
    inputs, target, said = refusals(model, tmp_path)[case]
    before = sorted(tmp_path.iterdir())
    scope = Scope.GIVEN if case == "no configuration" else Scope.ONE_FILE
    with pytest.raises(WeightFileError, match=said) as raised:
        convert_model(inputs, tmp_path / "out.safetensors", target, scope)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out.safetensors").write_text("mine")
    with pytest.raises(UnwritableOutput, match="exists already"):
        convert_model([tmp_path], tmp_path / "out.safetensors", Target.BF16, Scope.ONE_FILE)
    assert (tmp_path / "out.safetensors").read_text() == "mine"


def test_what_is_left_out_and_how_far_it_is_are_said(
    model: TinyModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = {**model.of(Part.TRANSFORMER), "first_stage_model.x": torch.zeros(2)}
    save_file(tensors, tmp_path / "in.safetensors", model.metadata)
    with caplog.at_level(logging.INFO):
        done = convert_model(
            [tmp_path / "in.safetensors"], tmp_path / "out.safetensors", Target.FP8, Scope.GIVEN
        )
    assert isinstance(done, Conversion)
    assert "left out, being no part of an LTX-2: first_stage_model.x (1)" in caplog.text
    said = [
        int(record.message.split(" %")[0])
        for record in caplog.records
        if " % of 0.0" in record.message
    ]
    assert said == sorted(set(said))
    assert (5 <= len(said) <= 10, said[-1]) == (True, 100)


def test_the_script_converts_and_says_what_it_did(
    model: TinyModel, tmp_path: Path, patched: Pipelines
) -> None:
    pieces = model.split(tmp_path / "pieces")
    output = tmp_path / "out.safetensors"
    inputs = [*map(str, set(pieces.values()))]
    argv = [*inputs, "--output", str(output), "--to", "bf16"]
    done = patched.run("ltx_pipelines.convert", argv)
    assert done.code == 0, done.err
    assert f"{output}: bf16, 0.0" in done.out
    assert f"video VAE: {pieces[Part.VIDEO_VAE]}" in done.out
    assert_is_checkpoint(output, model)
    again = patched.run("ltx_pipelines.convert", argv)
    assert (again.code, "Traceback" in again.err) == (UnwritableOutput.exit_code, False)
    assert again.last_line.endswith("exists already; remove it, or give another output")
    alone = [str(pieces[Part.VIDEO_VAE]), "--output", str(tmp_path / "x.safetensors")]
    lacking = patched.run("ltx_pipelines.convert", [*alone, "--to", "int8", "--for", "comfy"])
    assert lacking.code == IncompleteModel.exit_code
    assert "there is no transformer in" in lacking.last_line
