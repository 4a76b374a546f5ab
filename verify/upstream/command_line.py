"""The command line of one of upstream's scripts, as the revision in a tree spells it.

Here, and in what calls this, flags are spelled as upstream does since March 2026; a Request has
neither spelling, and renders as the tree's script takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from ltx2_patcher.jobs.launch.pipelines import pipelines_in
from ltx2_patcher.rules.models.pipelines import Pipeline, pick
from ltx2_patcher.rules.models.request import parse_argv, render_argv

DISTILLED = "distilled"
"""The script that takes the distilled checkpoint, where others take another and a LoRA."""

DISTILLED_CHECKPOINT, CHECKPOINT = "--distilled-checkpoint-path", "--checkpoint-path"
TRANSFORMER, TEXT_ENCODER = "--transformer-path", "--text-encoder-path"
GEMMA, UPSAMPLER, LORA = "--gemma-root", "--spatial-upsampler-path", "--distilled-lora"
VIDEO_VAE, AUDIO_VAE = "--video-vae-path", "--audio-vae-path"
DURATION_HEAD = "--duration-head-path"
PARTS = (VIDEO_VAE, AUDIO_VAE, DURATION_HEAD)
"""What stands beside a transformer in a file of its own."""

FP8_CAST = ("--quantization", "fp8-cast")


class Gemma(Enum):
    """How the text encoder is quantized: by a flag, in its root, or not."""

    PLAIN = "none"
    FLAG_4BIT = "4bit"
    FLAG_8BIT = "8bit"
    PREQUANTIZED_4BIT = "prequantized-4bit"
    PREQUANTIZED_8BIT = "prequantized-8bit"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a script is told."""
        return (f"--gemma-{self.value}",) if self in {Gemma.FLAG_4BIT, Gemma.FLAG_8BIT} else ()


@dataclass(frozen=True, slots=True)
class ClipShape:
    """The size and length of a clip, and how long a guided script works on it."""

    width: int
    height: int
    frames: int
    fps: int = 25
    steps: int | None = None  # of a guided stage; None is upstream's own default

    def __str__(self) -> str:
        """For people."""
        return f"{self.width}x{self.height}, {self.frames} frames at {self.fps} fps"


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A picture that a clip has to pass through."""

    picture: Path
    frame: int
    strength: float = 1.0


def required_models(script: str, named: Mapping[str, Path]) -> list[str]:
    """The flags that the script can't do without: of a whole model, or of one in several files
    where `named` has its transformer.
    """
    whole = DISTILLED_CHECKPOINT if script == DISTILLED else CHECKPOINT
    flags = [TRANSFORMER if TRANSFORMER in named else whole]
    flags += [TEXT_ENCODER if TEXT_ENCODER in named else GEMMA, UPSAMPLER]
    return flags if script == DISTILLED else [*flags, LORA]


def models_of(script: str, named: Mapping[str, Path]) -> dict[str, Path]:
    """Those of the named models that the script takes, by flag."""
    parts = PARTS if TRANSFORMER in named else ()
    flags = [*required_models(script, named), *parts]
    return {flag: named[flag] for flag in flags if flag in named}


def command_line(
    tree: Path,
    script: str,
    models: Mapping[str, Path],
    shape: ClipShape,
    *,
    prompt: str,
    seed: int,
    out: Path,
    keyframes: Sequence[Keyframe] = (),
    flags: Sequence[str] = (),
) -> list[str]:
    """The arguments of `script` in `tree`, for a clip at `out`; of `models` what it takes."""
    words: list[object] = [word for pair in models_of(script, models).items() for word in pair]
    words += ["--output-path", out, "--prompt", prompt, "--seed", seed]
    words += ["--width", shape.width, "--height", shape.height]
    words += ["--num-frames", shape.frames, "--frame-rate", shape.fps]
    if shape.steps is not None and script != DISTILLED:
        words += ["--num-inference-steps", shape.steps]
    for one in keyframes:
        words += ["--image", one.picture, one.frame, one.strength]
    pipeline = pipeline_of(tree, script)
    return list(render_argv(pipeline, parse_argv(pipeline, [*map(str, words), *flags])))


@cache  # a script is asked for once a clip, and reading them all takes a quarter of a second
def pipeline_of(tree: Path, script: str) -> Pipeline:
    """What the script of that name in `tree` is and takes. Raises: UsageError, ConflictError."""
    return pick(pipelines_in(tree), script)
