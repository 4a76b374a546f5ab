"""What of a pipeline's command line decides how much memory it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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


def parse_asked(pipeline: str, argv: Sequence[str]) -> Asked:
    """The request of a command line that upstream's parser takes; what is not there is default."""
    words = [part for word in argv for part in _split(word)]
    following = dict(pairwise(words))
    flags = [word for word in _PLAIN if word in words]
    flags += [f"{name} {following[name]}" for name in _WITH_VALUE if name in following]
    return Asked(
        pipeline,
        int(following.get("--width", DEFAULT_WIDTH)),
        int(following.get("--height", DEFAULT_HEIGHT)),
        int(following.get("--num-frames", DEFAULT_FRAMES)),
        tuple(sorted(flags)),
    )


def with_frames(argv: Sequence[str], frames: int) -> list[str]:
    """The same command line for a clip of that length."""
    words = [part for word in argv for part in _split(word)]
    if "--num-frames" in words:
        at = words.index("--num-frames")
        del words[at : at + 2]
    return [*words, "--num-frames", str(frames)]


def _split(word: str) -> list[str]:
    """`--name=value` as two words."""
    name, equals, value = word.partition("=")
    return [name, value] if equals and name.startswith("--") else [word]
