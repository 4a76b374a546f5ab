"""One run of one of upstream's scripts on a tiny file set: what varies, and its command line."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from verify.synthetic.files import FileSet, Layout

HEIGHT, WIDTH, FRAMES, FPS = 64, 128, 9, 25


class Mode(Enum):
    """Text or an image to begin with."""

    T2V = "t2v"
    I2V = "i2v"


class Gemma(Enum):
    """How the text encoder is quantized: by a flag, in its root, or not."""

    PLAIN = "none"
    FLAG_4BIT = "4bit"
    FLAG_8BIT = "8bit"
    PREQUANTIZED_4BIT = "prequantized-4bit"
    PREQUANTIZED_8BIT = "prequantized-8bit"


@dataclass(frozen=True, slots=True)
class Case:
    """One run of one script."""

    script: str
    mode: Mode
    gemma: Gemma
    variant: str
    seed: int = 7
    prompt: str = "A red fox runs over fresh snow."
    layout: Layout = Layout.MONOLITH

    @property
    def module(self) -> str:
        """What to run with `python -m`."""
        return f"ltx_pipelines.{self.script}"

    def __str__(self) -> str:
        """A name for pytest."""
        layout = "" if self.layout is Layout.MONOLITH else f"-{self.layout.value}"
        return f"{self.script}-{self.mode.value}-{self.gemma.value}-{self.variant}{layout}"


SCRIPTS = ("distilled", "ti2vid_two_stages", "keyframe_interpolation")
DISTILLED_CHECKPOINT = "--distilled-checkpoint-path"
FLAGS = {Gemma.FLAG_4BIT: ["--gemma-4bit"], Gemma.FLAG_8BIT: ["--gemma-8bit"]}


def command_line(
    case: Case, files: FileSet, text_encoder: Path, image: Path | None, out: Path, *, tree: Path
) -> list[str]:
    """The arguments of the script of `case`, as the upstream in `tree` spells them."""
    arguments: dict[str, object] = {
        **_models(case, files, text_encoder, tree),
        "--spatial-upsampler-path": files.spatial_upsampler,
        "--output-path": out,
        "--prompt": case.prompt,
        "--seed": case.seed,
        "--height": HEIGHT,
        "--width": WIDTH,
        "--num-frames": FRAMES,
        "--frame-rate": FPS,
    }
    if case.script != "distilled":
        arguments |= {"--distilled-lora": files.distilled_lora, "--num-inference-steps": 2}
    argv = [text for pair in arguments.items() for text in map(str, pair)]
    if image is not None:
        argv += ["--image", str(image), "0", "1.0"]
        if case.script == "keyframe_interpolation":
            argv += ["--image", str(image), str(FRAMES - 1), "0.8"]
    return argv + FLAGS.get(case.gemma, [])


def _models(case: Case, files: FileSet, text_encoder: Path, tree: Path) -> dict[str, Path]:
    if files.layout is Layout.SPLIT:
        split = {
            "--transformer-path": files.transformer,
            "--text-encoder-path": text_encoder,
            "--video-vae-path": files.video_vae,
            "--audio-vae-path": files.audio_vae,
            "--duration-head-path": files.duration_head,
        }
        return {flag: path for flag, path in split.items() if path.exists()}
    # Until 2026-03-04 one flag serves every script.
    of_distilled = case.script == "distilled" and knows_flag(tree, DISTILLED_CHECKPOINT)
    flag = DISTILLED_CHECKPOINT if of_distilled else "--checkpoint-path"
    return {flag: files.checkpoint, "--gemma-root": text_encoder}


def knows_flag(tree: Path, flag: str) -> bool:
    """Does the upstream in `tree` have a script that takes `flag`?"""
    pipelines = tree / "packages" / "ltx-pipelines" / "src" / "ltx_pipelines"
    return any(f'"{flag}"' in path.read_text("utf-8") for path in pipelines.rglob("*.py"))
