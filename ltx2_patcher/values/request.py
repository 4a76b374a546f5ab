"""A clip's request: what one run of a pipeline is asked for, in numbers and paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

GemmaFlag = Literal["4bit", "8bit"]
Value = str | int | float


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a clip is made of or with, and the numbers that its option takes behind it."""

    option: str  # "--image", "--lora", "--spatial-upsampler-path"
    path: Path
    numbers: tuple[int | float, ...] = ()  # of --image frame, strength and CRF; of --lora strength


@dataclass(frozen=True, slots=True)
class Request:
    """One clip of one pipeline. None is what was not asked for: upstream has its own default."""

    pipeline: str
    prompt: str | None = None
    output: Path | None = None
    width: int | None = None  # pixels
    height: int | None = None
    frames: int | None = None
    frame_rate: float | None = None  # frames a second
    seed: int | None = None
    steps: int | None = None  # of a guided stage
    checkpoint: Path | None = None  # a whole model
    parts: Mapping[str, Path] = field(default_factory=dict)  # option -> file: a model in its parts
    gemma_root: Path | None = None
    enhancer_root: Path | None = None  # another Gemma, for --enhance-prompt
    enhances: bool = False
    gemma: GemmaFlag | None = None
    quantization: str | None = None  # of the transformer: "fp8-cast"
    calibration: Path | None = None  # what fp8-scaled-mm takes beside its name
    offload: str | None = None  # "cpu", "disk"
    vram_budget: float | Literal["auto"] | None = None  # GiB of the card; weights stay on the host
    host_budget: float | Literal["auto"] | None = None  # GiB of host memory that those may take
    weights_folder: Path | None = None  # where processes share them
    files: tuple[InputFile, ...] = ()
    others: tuple[tuple[str, tuple[Value, ...]], ...] = ()  # options for upstream alone to judge

    @property
    def transformer(self) -> Path | None:
        """The file that holds the transformer."""
        return self.checkpoint or self.parts.get("--transformer-path")

    @property
    def text_encoder(self) -> tuple[str, Path] | None:
        """The option and the root or packed file that hold the Gemma."""
        if self.gemma_root is not None:
            return "--gemma-root", self.gemma_root
        packed = self.parts.get("--text-encoder-path")
        return None if packed is None else ("--text-encoder-path", packed)

    @property
    def images(self) -> int:
        """How many pictures the clip starts from or passes through."""
        return sum(file.option == "--image" for file in self.files)
