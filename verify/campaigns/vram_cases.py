"""The runs that a baseline is made of: which script, which flags, which Gemma, how far.

Every shape runs with the flags that a 24 GB card needs. What a prompt takes is measured once for
each way to load Gemma, what upstream's own offloading takes beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from verify.synthetic.architecture import Variant

Root = Literal["bf16", "prequantized"]

FITS = ("--gemma-4bit", "--quantization", "fp8-cast")
SHAPES = ((768, 512, 25), (768, 512, 121), (768, 512, 241), (1280, 704, 121), (1536, 1024, 121))
"""Width, height, frames; the last is upstream's default for two stages."""
USUAL = SHAPES[1]
TWO_STEPS = ("--num-inference-steps", "2")
"""Enough for the peak of a guided stage."""
_IMAGES = {"distilled": 0, "ti2vid_two_stages": 1, "keyframe_interpolation": 2}
NAMES = {Variant.LTX_2: "LTX-2 19B distilled", Variant.LTX_2_3: "LTX-2.3 22B"}


class Outcome(Enum):
    """What a run must come to."""

    FITS = "fits"
    RUNS_OUT = "runs out of memory"
    ANY = "one of both"  # what the card holds is what is to be found out


@dataclass(frozen=True, slots=True)
class CampaignCase:
    """One run; `images` are how many pictures it starts from."""

    name: str
    script: str
    flags: tuple[str, ...]
    shape: tuple[int, int, int] = USUAL
    root: Root = "bf16"
    until: str | None = None
    images: int = 0
    outcome: Outcome = Outcome.FITS


def cases(variant: Variant, *, offloads: bool) -> tuple[CampaignCase, ...]:
    """The runs of a model; `offloads` where the upstream has --offload."""
    if variant is Variant.LTX_2:
        return (
            *_prompts("one prompt", "distilled", offloads=offloads),
            *_prompts("two prompts", "ti2vid_two_stages", offloads=offloads),
            *(shape_case("distilled", shape) for shape in SHAPES),
            *(_offloaded("distilled") if offloads else ()),
        )
    guided = "ti2vid_two_stages"
    return (
        *(shape_case(guided, shape) for shape in SHAPES),
        shape_case("keyframe_interpolation", USUAL),
        CampaignCase(f"whole clip, {guided}", guided, FITS, images=1),
        *(_offloaded(guided, images=1) if offloads else ()),
    )


def shape_case(script: str, shape: tuple[int, int, int]) -> CampaignCase:
    """A clip of that shape with what a 24 GB card needs; of a guided stage two steps."""
    width, height, frames = shape
    within = width * height * frames <= USUAL[0] * USUAL[1] * USUAL[2]
    return CampaignCase(
        f"{script}, {width}x{height}, {frames} frames",
        script,
        FITS if script == "distilled" else (*FITS, *TWO_STEPS),
        shape,
        images=_IMAGES[script],
        outcome=Outcome.FITS if within else Outcome.ANY,
    )


def _prompts(name: str, script: str, *, offloads: bool) -> tuple[CampaignCase, ...]:
    ways: dict[str, tuple[str, ...]] = {
        "no flag": (),
        "--gemma-4bit": ("--gemma-4bit",),
        "--gemma-8bit": ("--gemma-8bit",),
        "prequantized": (),
    }
    if offloads:
        ways["--offload cpu"] = ("--offload", "cpu")
    return tuple(
        CampaignCase(
            f"{name}, {way}",
            script,
            flags,
            root="prequantized" if way == "prequantized" else "bf16",
            until="embeddings",
            outcome=Outcome.RUNS_OUT if way == "no flag" else Outcome.FITS,
        )
        for way, flags in ways.items()
    )


def _offloaded(script: str, images: int = 0) -> tuple[CampaignCase, ...]:
    """Upstream's own way to save memory, and ours with it, for a whole clip."""
    offload, cast = ("--offload", "cpu"), ("--quantization", "fp8-cast")
    return tuple(
        CampaignCase(
            f"whole clip, {script}, {' '.join((*gemma, *offload))}",
            script,
            (*gemma, *offload, *cast),
            images=images,
        )
        for gemma in ((), ("--gemma-4bit",))
    )
