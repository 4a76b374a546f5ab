"""One run of one of upstream's scripts on a tiny file set: what varies, and its command line."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from verify.clips.cases import TINY
from verify.synthetic.files import FileSet, Layout, named_models
from verify.upstream import command_line as upstream
from verify.upstream.command_line import Gemma, Keyframe


class Mode(Enum):
    """Text or an image to begin with."""

    T2V = "t2v"
    I2V = "i2v"


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


def command_line(
    case: Case, files: FileSet, text_encoder: Path, image: Path | None, out: Path, *, tree: Path
) -> list[str]:
    """The arguments of the script of `case`, as the upstream in `tree` spells them."""
    split = files.layout is Layout.SPLIT
    encoder = upstream.TEXT_ENCODER if split else upstream.GEMMA
    keyframes = [] if image is None else [Keyframe(image, 0)]
    if image is not None and case.script == "keyframe_interpolation":
        keyframes.append(Keyframe(image, TINY.frames - 1, 0.8))
    return upstream.command_line(
        tree,
        case.script,
        {**named_models(files), encoder: text_encoder},
        TINY,
        prompt=case.prompt,
        seed=case.seed,
        out=out,
        keyframes=keyframes,
        flags=case.gemma.flags,
    )
