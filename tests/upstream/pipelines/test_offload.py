"""What 1.2.0 adds to a clip with a quantized Gemma: offload, packed files, a second Gemma."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.cases import plain
from tests.upstream.pipelines.conftest import Clips
from verify.clips.cases import TINY
from verify.clips.decoding import faults, read_clip
from verify.synthetic.files import Layout
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

pytestmark = pytest.mark.revisions(since="2026-08-11")
FLAGS = (Gemma.FLAG_4BIT, Gemma.FLAG_8BIT)


def run(pipelines: Pipelines, argv: list[str], case: Case) -> str:
    """What the script says on the way."""
    done = pipelines.run(case.module, argv, timeout_s=300)
    assert done.code == 0, done.err
    return done.err


@pytest.mark.parametrize("gemma", FLAGS)
def test_a_packed_gemma_4_gives_the_clip_of_its_root(
    gemma: Gemma, patched: Pipelines, fileset: FileSets, patched_clip: Clips, tmp_path: Path
) -> None:
    """LTX-2.5 as it is published, a file a component, and as one checkpoint beside a root."""
    case = Case("distilled", Mode.T2V, gemma, "2.5")
    files, out = fileset("2.5", Layout.SPLIT), tmp_path / "clip.mp4"
    run(patched, command_line(case, files, files.text_encoder, None, out, tree=patched.tree), case)
    assert faults(read_clip(out), TINY) == []
    assert out.read_bytes() == patched_clip(case).read_bytes()
    assert out.read_bytes() != patched_clip(plain(case)).read_bytes()


@pytest.mark.parametrize("gemma", FLAGS)
def test_a_converted_packed_gemma_gives_the_clip_of_the_flag(
    gemma: Gemma, patched: Pipelines, fileset: FileSets, patched_clip: Clips, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.T2V, gemma, "2.5")
    files, out = fileset("2.5", Layout.SPLIT), tmp_path / "clip.mp4"
    packed = tmp_path / "packed.safetensors"
    convert = ["--gemma-root", str(files.text_encoder), "--output", str(packed)]
    done = patched.run("ltx_pipelines.quantize_gemma", [*convert, f"--{gemma.value}"])
    assert done.code == 0, done.err
    run(patched, command_line(plain(case), files, packed, None, out, tree=patched.tree), case)
    assert out.read_bytes() == patched_clip(case).read_bytes()


@pytest.mark.parametrize("offload", ["cpu", "disk"])
@pytest.mark.parametrize("variant", ["2.3", "2.5"])
def test_a_transformer_that_streams_makes_the_same_clip(
    offload: str,
    variant: str,
    patched: Pipelines,
    fileset: FileSets,
    patched_clip: Clips,
    tmp_path: Path,
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, variant)
    files, out = fileset(variant), tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched.tree)
    run(patched, [*argv, "--offload", offload], case)
    assert out.read_bytes() == patched_clip(case).read_bytes()


def test_what_people_bring_streams_to_the_same_clip(
    patched: Pipelines, fileset: FileSets, patched_clip: Clips, tmp_path: Path
) -> None:
    """A transformer in float8_e5m2, and a LoRA as kohya's trainers save one, with alphas."""
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, "2.3")
    files = fileset("2.3")
    brought, lora = tmp_path / "brought.safetensors", tmp_path / "lora.safetensors"
    tensors = load_file(files.checkpoint)
    with safe_open(files.checkpoint, "pt") as file:
        metadata = file.metadata()
    pairs: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if ".transformer_blocks." in name and name.endswith(".weight") and value.dim() == 2:
            tensors[name] = value.to(torch.float8_e5m2)
            module = name.removeprefix("model.diffusion_model.").removesuffix(".weight")
            stem = f"lora_unet_{module.replace('.', '_')}"
            pairs[f"{stem}.lora_down.weight"] = torch.full((2, value.shape[1]), 0.01)
            pairs[f"{stem}.lora_up.weight"] = torch.full((value.shape[0], 2), 0.01)
            pairs[f"{stem}.alpha"] = torch.tensor(3.0)
    save_file(tensors, brought, metadata=metadata)
    save_file(pairs, lora)

    def clip(name: str, *more: str) -> bytes:
        out = tmp_path / f"{name}.mp4"
        argv = command_line(case, files, files.text_encoder, None, out, tree=patched.tree)
        argv = [str(brought) if word == str(files.checkpoint) else word for word in argv]
        run(patched, [*argv, *more], case)
        return out.read_bytes()

    with_lora = ("--lora", str(lora), "1.0")
    resident = clip("resident", *with_lora)
    assert clip("cpu", *with_lora, "--offload", "cpu") == resident
    assert clip("disk", *with_lora, "--offload", "disk") == resident
    assert clip("without") != resident


@pytest.mark.slow
def test_a_second_gemma_enhances_the_prompt_quantized(
    patched: Pipelines, fileset: FileSets, patched_clip: Clips, tmp_path: Path
) -> None:
    """A Gemma 3 writes the prompt that the LTX-2.5 model's Gemma 4 reads."""
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, "2.5")
    files, out = fileset("2.5"), tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched.tree)
    enhancer = str(fileset("2.3").gemma_root)
    run(patched, [*argv, "--enhance-prompt", "--prompt-enhancer-gemma-root", enhancer], case)
    assert read_clip(out).frames == TINY.frames
    assert out.read_bytes() != patched_clip(case).read_bytes()
