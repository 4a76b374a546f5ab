"""What of a pipeline's command line decides how much memory it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import given_options
from ltx2_patcher.values.errors import UsageError

DEFAULT_WIDTH, DEFAULT_HEIGHT, DEFAULT_FRAMES = 1536, 1024, 121
"""Upstream's own, in its two-stage parsers."""
_WITH_VALUE = ("--quantization", "--offload")
_PLAIN = ("--gemma-4bit", "--gemma-8bit", "--enable-fp8", "--enhance-prompt")
_LATENT_STRIDE, _LATENT_FRAMES = 32, 8
"""Pixels a latent token spans each way, and frames: the video VAE's factors in LTX-2 and 2.3."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `flags` are those that save or cost memory, as they are typed, sorted."""

    pipeline: str
    width: int
    height: int
    frames: int
    flags: tuple[str, ...]
    steps: int | None = None  # of a guided stage; None is upstream's default
    images: int = 0  # that the clip starts from or passes through

    @property
    def size(self) -> str:
        """As in limits.toml."""
        return f"{self.width}x{self.height}"

    @property
    def transformer_flags(self) -> tuple[str, ...]:
        """Those that decide how the transformer is held, word by word."""
        own = (flag for flag in self.flags if "gemma" not in flag and "prompt" not in flag)
        return tuple(word for flag in own for word in flag.split())

    @property
    def tokens(self) -> int:
        """Latent tokens of the finished clip: what memory beside the weights grows with."""
        across = (self.width // _LATENT_STRIDE) * (self.height // _LATENT_STRIDE)
        return across * ((self.frames - 1) // _LATENT_FRAMES + 1)


def parse_asked(pipeline: Pipeline, argv: Sequence[str]) -> Asked:
    """The request of a command line for that script; what is not there is upstream's default.

    Raises: UsageError (a word in place of a number, or the length is left to the model).
    """
    given = list(given_options(pipeline.options, argv))
    last = {option: values[0] for option, values in given if values}
    names = [option for option, _ in given]
    flags = [option for option in _PLAIN if option in names]
    flags += [f"{option} {last[option]}" for option in _WITH_VALUE if option in last]
    if pipeline.tells_length and "--num-frames" not in last:
        raise UsageError(
            "without --num-frames the model's duration head chooses the length, and a measurement "
            "is of one length",
            remedy="give --num-frames",
        )
    return Asked(
        pipeline.name,
        _number(last, "--width") or DEFAULT_WIDTH,
        _number(last, "--height") or DEFAULT_HEIGHT,
        _number(last, "--num-frames") or DEFAULT_FRAMES,
        tuple(sorted(flags)),
        steps=_number(last, "--num-inference-steps"),
        images=names.count("--image"),
    )


def with_frames(argv: Sequence[str], frames: int) -> tuple[str, ...]:
    """The same command line for a clip of that length: the last of two options counts."""
    return (*argv, "--num-frames", str(frames))


def _number(last: Mapping[str, str], option: str) -> int | None:
    if option not in last:
        return None
    try:
        return int(last[option])
    except ValueError as error:
        raise UsageError(
            f"{option} {last[option]} is no number", remedy=f"give {option} a whole number"
        ) from error
