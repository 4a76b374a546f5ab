"""Clips with integer products: parked or not, with LoRAs, of files of integers; what is refused."""

import json
from pathlib import Path

import pytest
from ltx_core.int8.layers import group_for, is_of_a_block
from ltx_core.int8.rows import quantize_rows
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.upstream.cases import SCRIPTS, Case, Mode, command_line
from tests.upstream.conftest import BASE, LONG, FileSets
from verify.synthetic.files import named_models
from verify.upstream.command_line import LORA, Gemma
from verify.upstream.process import Finished, Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
INT8 = ("--quantization", "int8")
PARKED = ("--vram-budget", "0.000001")


def run(
    pipelines: Pipelines, script: str, fileset: FileSets, image: Path, out: Path, *more: str
) -> Finished:
    case = Case(script, Mode.I2V, Gemma.PLAIN, VARIANT)
    files = fileset(VARIANT)
    argv = command_line(case, files, files.text_encoder, image, out, tree=pipelines.tree)
    return pipelines.run(case.module, [*argv, *more], timeout_s=300)


def clip(
    pipelines: Pipelines, script: str, fileset: FileSets, image: Path, out: Path, *more: str
) -> bytes:
    done = run(pipelines, script, fileset, image, out, *more)
    assert done.code == 0, done.err
    assert not [
        line for line in done.err.splitlines() if "Uninitialized" in line and "block" in line
    ]
    return out.read_bytes()


@pytest.mark.parametrize(
    "script", [SCRIPTS[0], *(pytest.param(script, marks=LONG) for script in SCRIPTS[1:])]
)
def test_parked_weights_make_the_same_clip(
    script: str,
    patched: Pipelines,
    parked: Pipelines,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    given = (script, fileset, image)
    plain = clip(patched, *given, tmp_path / "plain.mp4")
    whole = clip(patched, *given, tmp_path / "whole.mp4", *INT8)
    assert whole != plain
    for number in range(2):
        out = tmp_path / f"{number}.mp4"
        assert clip(parked, *given, out, *INT8, *PARKED) == whole


def test_flags_and_loras_change_the_clip_alike(
    patched: Pipelines, parked: Pipelines, fileset: FileSets, image: Path, tmp_path: Path
) -> None:
    lora = str(named_models(fileset(VARIANT))[LORA])
    made = []
    for more in ((), ("--int8-unrotated",), ("--int8-keep-ends",), ("--lora", lora, "0.7")):
        given = ("distilled", fileset, image, tmp_path / "clip.mp4", *INT8, *more)
        made.append(clip(patched, *given))
        assert clip(parked, *given, *PARKED) == made[-1]
    assert len(set(made)) == len(made)


def rewritten(path: Path, out: Path) -> Path:
    """A checkpoint with its block's linear layers as ComfyUI's rotated integers."""
    prefix, how = "model.diffusion_model.", {"format": "int8_tensorwise", "convrot": True}
    tensors, layers = load_file(path), {}
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    for name in list(tensors):
        layer = name.removesuffix(".weight")
        if name.endswith(".weight") and is_of_a_block(layer.removeprefix(prefix)):
            group = group_for(tensors[name].shape[1])
            tensors[name], scales = quantize_rows(tensors[name], group=group)
            tensors[f"{layer}.weight_scale"] = scales.unsqueeze(-1)
            layers[layer] = {**how, "convrot_groupsize": group}
    assert layers
    said = json.dumps({"layers": layers})
    save_file(tensors, out, metadata={**metadata, "_quantization_metadata": said})
    return out


def test_a_file_of_integers_makes_the_clip_of_its_floats(
    patched: Pipelines, parked: Pipelines, fileset: FileSets, image: Path, tmp_path: Path
) -> None:
    """They are what the floats become while they load."""
    of_floats = clip(patched, "distilled", fileset, image, tmp_path / "floats.mp4", *INT8)
    models = named_models(fileset(VARIANT))
    option = "--distilled-checkpoint-path"
    path = rewritten(models[option], tmp_path / "integers.safetensors")
    for pipelines, more in ((patched, ()), (parked, PARKED)):
        given = ("distilled", fileset, image, tmp_path / "clip.mp4", *INT8, *more)
        assert clip(pipelines, *given, option, str(path)) == of_floats
    done = run(patched, *given, option, str(path), "--int8-unrotated")
    assert done.code == 31
    assert "leave --int8-unrotated and --int8-keep-ends out" in done.last_line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--int8-unrotated",), "give --quantization int8 too"),
        (("--int8-keep-ends", "--quantization", "fp8-cast"), "give --quantization int8 too"),
        pytest.param(
            (*INT8, "--offload", "cpu"),
            "give --vram-budget, which does more",
            marks=pytest.mark.revisions(since="2026-05-28"),
        ),
        pytest.param(
            (*INT8, "amax.json"),
            "int8 does not accept additional arguments",
            marks=pytest.mark.revisions(before="2026-05-28"),
        ),
        pytest.param(
            (*INT8, "--vram-budget", "auto", "--offload", "cpu"),
            "leave --offload out",
            marks=pytest.mark.revisions(since="2026-05-28"),
        ),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(
    flags: tuple[str, ...],
    said: str,
    patched: Pipelines,
    fileset: FileSets,
    image: Path,
    tmp_path: Path,
) -> None:
    done = run(patched, "distilled", fileset, image, tmp_path / "clip.mp4", *flags)
    assert done.code == 2
    assert said in done.last_line and "Traceback" not in done.err
    assert not (tmp_path / "clip.mp4").exists()
