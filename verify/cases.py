"""One run of one of upstream's scripts on a tiny file set: what varies, and its command line."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from verify.synthetic.files import FileSet

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

    @property
    def module(self) -> str:
        """What to run with `python -m`."""
        return f"ltx_pipelines.{self.script}"

    def __str__(self) -> str:
        """A name for pytest."""
        return f"{self.script}-{self.mode.value}-{self.gemma.value}-{self.variant}"


SCRIPTS = ("distilled", "ti2vid_two_stages", "keyframe_interpolation")
VARIANTS = ("2.0", "2.3")
FLAGS = {Gemma.FLAG_4BIT: ["--gemma-4bit"], Gemma.FLAG_8BIT: ["--gemma-8bit"]}


def command_line(
    case: Case, files: FileSet, gemma_root: Path, image: Path | None, out: Path
) -> list[str]:
    """The arguments of the script of `case`."""
    distilled = case.script == "distilled"
    arguments: dict[str, object] = {
        "--distilled-checkpoint-path" if distilled else "--checkpoint-path": files.checkpoint,
        "--spatial-upsampler-path": files.spatial_upsampler,
        "--gemma-root": gemma_root,
        "--output-path": out,
        "--prompt": case.prompt,
        "--seed": case.seed,
        "--height": HEIGHT,
        "--width": WIDTH,
        "--num-frames": FRAMES,
        "--frame-rate": FPS,
    }
    if not distilled:
        arguments |= {"--distilled-lora": files.distilled_lora, "--num-inference-steps": 2}
    argv = [text for pair in arguments.items() for text in map(str, pair)]
    if image is not None:
        argv += ["--image", str(image), "0", "1.0"]
        if case.script == "keyframe_interpolation":
            argv += ["--image", str(image), str(FRAMES - 1), "0.8"]
    return argv + FLAGS.get(case.gemma, [])
