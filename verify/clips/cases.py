"""What is recorded: five clips of fixed prompts, seeds and images, in one of two shapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from verify.upstream.command_line import ClipShape, Gemma

GEMMAS = (Gemma.PLAIN, Gemma.FLAG_4BIT, Gemma.FLAG_8BIT)
"""What a recording's Gemma may be: upstream's own, or quantized by a flag."""


TINY = ClipShape(128, 64, 9, steps=2)
FULL = ClipShape(768, 512, 25)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """An image that a clip has to pass through."""

    image: str  # a name of `images.PAINTERS`
    at: float  # where: 0 is the first frame, 1 the last
    strength: float

    def frame(self, shape: ClipShape) -> int:
        """The index of the frame in a clip of that shape."""
        return round(self.at * (shape.frames - 1))


@dataclass(frozen=True, slots=True)
class ReferenceCase:
    """One clip: its script and all that decides what it shows."""

    name: str
    script: str  # of ltx_pipelines
    prompt: str
    seed: int
    images: tuple[Conditioning, ...] = ()


# Motion, fur and snow; water and light; a face; a place; a change of light between two images.
# Quantizing the text encoder tells in what of a prompt a clip takes up, so each names several
# things, colors and an order of events.
CASES = (
    ReferenceCase(
        "distilled-t2v",
        "distilled",
        "A red fox crosses a snowy clearing from left to right, stops and looks up. Snow falls in "
        "large flakes, a crow calls twice in the distance.",
        seed=7,
    ),
    ReferenceCase(
        "distilled-i2v",
        "distilled",
        "Waves roll towards the shore under a low orange sun; the camera moves slowly forward over "
        "the water. The sound of surf.",
        seed=11,
        images=(Conditioning("sunset", 0, 1.0),),
    ),
    ReferenceCase(
        "two-stage-t2v",
        "ti2vid_two_stages",
        "Close-up of an old man with a white beard and round glasses. He reads a letter, smiles, "
        "and folds it in two. A clock ticks.",
        seed=23,
    ),
    ReferenceCase(
        "two-stage-ti2v",
        "ti2vid_two_stages",
        "A hot-air balloon with blue and yellow stripes rises over green hills while the shadows "
        "of clouds pass below. Wind, and the roar of a burner.",
        seed=42,
        images=(Conditioning("hills", 0, 1.0),),
    ),
    ReferenceCase(
        "keyframes",
        "keyframe_interpolation",
        "Time-lapse of the sea from sunset to a clear night: the sun sinks, the sky turns deep "
        "blue and stars come out one by one.",
        seed=64,
        images=(Conditioning("sunset", 0, 1.0), Conditioning("night", 1, 0.8)),
    ),
)


def digest(cases: Sequence[ReferenceCase], shape: ClipShape) -> str:
    """What two recordings must share to be comparable, as 16 hex digits."""
    text = json.dumps([[asdict(case) for case in cases], asdict(shape)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
