"""The flags and keywords through every pipeline that takes a Gemma root."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch
from ltx_core.loader import LoraPathStrengthAndSDOps
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import Method
from ltx_pipelines.utils.gemma_flags import add_gemma_flags
from safetensors.torch import save_file

from tests.upstream.conftest import BASE, DATE
from tests.upstream.overlay.conftest import ASKED_FOR, CPU, methods
from verify.campaigns.gemma_encoder import HAS_LEDGER, TAKES_ROOTS
from verify.upstream.process import Pipelines

LORA = LoraPathStrengthAndSDOps("lora.safetensors", 1.0, None)
CHECKPOINT = {"checkpoint_path": "unread"}
TWO_STAGES = {**CHECKPOINT, "distilled_lora": [LORA], "spatial_upsampler_path": "unread"}
STRENGTHS = {"distilled_lora_strength_stage_1": 0.25, "distilled_lora_strength_stage_2": 0.5}
NAMED_APART = DATE >= "2026-03-04"
DISTILLED_CHECKPOINT = "distilled_checkpoint_path" if NAMED_APART else "checkpoint_path"
DISTILLED = {DISTILLED_CHECKPOINT: "unread", "spatial_upsampler_path": "unread"}

# script: its pipeline, the constructor's other arguments, and how many ledgers it makes
PIPELINES: dict[str, tuple[str, dict[str, Any], int]] = {
    "distilled": ("DistilledPipeline", DISTILLED, 1),
    "keyframe_interpolation": ("KeyframeInterpolationPipeline", TWO_STAGES, 2),
    "ti2vid_one_stage": ("TI2VidOneStagePipeline", CHECKPOINT, 1),
    "ti2vid_two_stages": ("TI2VidTwoStagesPipeline", TWO_STAGES, 2),
    "ic_lora": ("ICLoraPipeline", DISTILLED, 2),
}
if DATE >= "2026-03-04":
    PIPELINES |= {
        "a2vid_two_stage": ("A2VidPipelineTwoStage", TWO_STAGES, 2),
        "retake": ("RetakePipeline", CHECKPOINT, 1),
    }
if "2026-03-04" <= DATE < "2026-03-05":
    PIPELINES["ti2vid_two_stages_res2s"] = ("TI2VidTwoStagesRes2sPipeline", TWO_STAGES, 2)
if DATE >= "2026-03-05":
    STRONGER = {**TWO_STAGES, **STRENGTHS}
    PIPELINES["ti2vid_two_stages_hq"] = ("TI2VidTwoStagesHQPipeline", STRONGER, 2)
if DATE >= "2026-07-08":
    PIPELINES["t2a_one_stage"] = ("T2AOneStagePipeline", CHECKPOINT, 1)
if DATE >= "2026-08-11":
    PIPELINES |= {
        "dfr_pipeline": ("DFRPipeline", TWO_STAGES, 1),
        "dubit": ("DubItPipeline", DISTILLED, 1),
    }
# Scripts that come or go between the revisions that a base supports: without a hook of their own.
UNHOOKED = {"2026-05-28": ["lipdub"], "2026-08-03": ["dubit"]}.get(BASE, [])
pipelines = pytest.mark.parametrize("script", PIPELINES)
scripts = pytest.mark.parametrize("script", [*PIPELINES, *UNHOOKED])


def pipeline_module(script: str) -> ModuleType:
    return importlib.import_module(f"ltx_pipelines.{script}")


@pytest.fixture(scope="session")
def quantized_roots(
    bf16_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[Method, Path]:
    folder = tmp_path_factory.mktemp("quantized")
    return {
        method: convert_root(bf16_root, folder / method.label, method, CPU).output
        for method in ASKED_FOR
    }


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without weights, and a video that `retake` accepts."""
    folder = tmp_path_factory.mktemp("inputs")
    save_file(
        {"nothing": torch.zeros(1)},
        folder / "checkpoint.safetensors",
        metadata={"model_version": "2.3.0"},
    )
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(9):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder


def arguments(script: str, root: Path, inputs: Path) -> list[str]:
    """A command line that gets each script as far as its pipeline."""
    checkpoint = str(inputs / "checkpoint.safetensors")
    shared = [
        "--gemma-root",
        str(root),
        "--prompt",
        "a fox",
        "--output-path",
        str(inputs / "out.mp4"),
    ]
    if script == "retake":
        times = ["--start-time", "0", "--end-time", "1", "--video-path", str(inputs / "video.mp4")]
        of_distilled = "" if HAS_LEDGER else "distilled-"
        return [*shared, *times, f"--{of_distilled}checkpoint-path", checkpoint]
    if script in ("ti2vid_one_stage", "t2a_one_stage"):
        return [*shared, "--checkpoint-path", checkpoint]
    shared += ["--spatial-upsampler-path", checkpoint]
    if script in ("distilled", "ic_lora", "lipdub", "dubit"):
        video = str(inputs / "video.mp4")
        conditioning = {
            "ic_lora": ["--video-conditioning", video, "1.0"],
            "lipdub": ["--reference-video", video, "--lora", checkpoint],
            "dubit": ["--reference-video", video, "--lora", checkpoint],
        }
        return [
            *shared,
            *conditioning.get(script, []),
            f"--{DISTILLED_CHECKPOINT.replace('_', '-')}",
            checkpoint,
        ]
    audio = ["--audio-path", str(inputs / "video.mp4")] if script == "a2vid_two_stage" else []
    return [*shared, *audio, "--checkpoint-path", checkpoint, "--distilled-lora", checkpoint]


@pytest.mark.revisions(before="2026-03-30")
@pipelines
@methods
def test_constructors_hand_the_keywords_to_every_ledger(
    bf16_root: Path, script: str, method: Method
) -> None:
    from ltx_pipelines.utils import ModelLedger

    name, keywords, count = PIPELINES[script]
    pipeline = getattr(pipeline_module(script), name)(
        gemma_root=str(bf16_root),
        loras=[],
        device=CPU,
        **keywords,
        **{f"gemma_{method.label}": True},
    )
    ledgers = [held for held in vars(pipeline).values() if isinstance(held, ModelLedger)]
    assert len(ledgers) == count
    assert {ledger.gemma_quantization.model_loader.method for ledger in ledgers} == {method}


@pytest.mark.revisions(since="2026-03-30")
@pipelines
@methods
def test_constructors_hand_the_keywords_to_their_encoder(
    quantized_roots: dict[Method, Path], script: str, method: Method
) -> None:
    """Seen by what the keyword meets: a root that is quantized the other way."""
    pipeline = getattr(pipeline_module(script), PIPELINES[script][0])
    wanted = inspect.signature(pipeline).parameters.values()
    # What a pipeline makes after its prompt encoder is never reached.
    given: dict[str, Any] = {p.name: [LORA] for p in wanted if p.default is p.empty}
    other = next(other for other in ASKED_FOR if other != method)
    root = str(quantized_roots[other])
    given |= {"gemma_root": root} if TAKES_ROOTS else {"model_paths": model_paths(root)}
    with pytest.raises(
        GemmaFlagsError, match=f"{method.flag.name} was given, but .* {other.label}"
    ):
        pipeline(**given, device=CPU, **{f"gemma_{method.label}": True})


def model_paths(gemma_root: str) -> Any:
    from ltx_pipelines.utils.model_paths import ModelPaths

    return ModelPaths.from_monolith("unread", gemma_root=gemma_root)


@scripts
@methods
def test_scripts_hand_the_flags_to_their_pipeline(
    quantized_roots: dict[Method, Path],
    inputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    method: Method,
) -> None:
    """Seen by what the flag meets: a root that is quantized the other way."""
    other = next(other for other in ASKED_FOR if other != method)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(
        sys, "argv", [script, *arguments(script, quantized_roots[other], inputs), method.flag.name]
    )
    with pytest.raises(
        GemmaFlagsError, match=f"{method.flag.name} was given, but .* quantized to {other.label}"
    ):
        pipeline_module(script).main()


# --- what a user sees ---


def test_an_error_about_gemma_ends_a_script_with_one_sentence(
    bf16_root: Path, tmp_path: Path, inputs: Path
) -> None:
    damaged = shutil.copytree(bf16_root, tmp_path / "damaged")
    shard = damaged / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:1000])
    # In a process of its own, as a user starts it: the interpreter's own end is part of this.
    script = [sys.executable, "-m", "ltx_pipelines.distilled", "--gemma-4bit"]
    done = subprocess.run(
        [*script, *arguments("distilled", damaged, inputs)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == GemmaRootError.exit_code
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"distilled.py: error: {shard} ")
    assert last.endswith("; download this file again")
    assert not (inputs / "out.mp4").exists()


def test_both_flags_end_a_script_as_wrong_flags_do(
    bf16_root: Path, inputs: Path, patched: Pipelines
) -> None:
    flags = ["--gemma-4bit", "--gemma-8bit"]
    given = [*arguments("ic_lora", bf16_root, inputs), *flags]
    done = patched.run("ltx_pipelines.ic_lora", given)
    assert done.code == 2
    assert done.last_line.endswith("argument --gemma-8bit: not allowed with argument --gemma-4bit")


def test_other_errors_of_a_script_stay_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: seen.append(error))
    add_gemma_flags(argparse.ArgumentParser())
    sys.excepthook(KeyError, error := KeyError("upstream's own"), None)
    assert seen == [error]


# --- a client of upstream's loading that has no flags ---


@pytest.mark.slow
@pytest.mark.revisions(since="2026-03-05", before="2026-03-30")
@pytest.mark.skipif(
    importlib.util.find_spec("ltx_trainer") is None, reason="upstream's wheels hold no trainer"
)
def test_the_trainer_still_loads_gemma_plain_and_in_8_bits(bf16_root: Path) -> None:
    script = """
import sys, torch
from tests.upstream.gemma_files import GemmaSize
from ltx_core.text_encoders.gemma.encoders import encoder_configurator
encoder_configurator.GEMMA3_CONFIG_FOR_LTX = GemmaSize().config()
from ltx_trainer.model_loader import load_text_encoder
for in_8bit, kind in ((False, "Linear"), (True, "Linear8bitLt")):
    encoder = load_text_encoder(sys.argv[1], load_in_8bit=in_8bit)
    assert type(encoder.model.model.language_model.layers[0].mlp.up_proj).__name__ == kind
    with torch.inference_mode():
        states, mask = encoder.encode("a red fox")
    assert states[-1].isfinite().all()
"""
    command = [sys.executable, "-c", script, str(bf16_root)]
    subprocess.run(command, env=dict(os.environ), check=True)
