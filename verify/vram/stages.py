"""The stages of a run, told by which component was loaded or computed when.

Upstream's scripts differ in what they load early and what they keep, from base to base too. So a
stage is no place in a script: it is all the time that one component was at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, Card
from verify.vram.events import Doing, Peaks, Turn
from verify.vram.host_memory import Sample

TEXT_ENCODER, VIDEO_ENCODER = "text encoder", "video encoder"
TRANSFORMER, UPSAMPLER = "transformer", "upsampler"
STAGE_1, STAGE_2 = "stage 1", "stage 2"
STAGE_OF = {
    "prompt enhancer": "prompt enhancement",
    TEXT_ENCODER: "text encoding",
    "embeddings processor": "embeddings",
    VIDEO_ENCODER: "image encoding",
    "audio encoder": "sound encoding",
    UPSAMPLER: "upsampling",
    "video decoder": "video decoding",
    "audio decoder": "audio decoding",
    "duration head": "duration",
}
"""The stage of each component but the transformer, which is in two."""


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """The driver's count of a card's memory in use at one moment, in bytes."""

    at_s: float
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of time in which one stage did one thing; times are CLOCK_MONOTONIC, in seconds."""

    stage: str
    doing: Doing
    begin_s: float
    end_s: float
    peaks: Peaks | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage over all its stretches; None is what could not be measured."""

    name: str
    load_s: float
    compute_s: float
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None
    device_peak_bytes: int | None  # of the whole card, other processes' memory taken off
    host_anon_bytes: int
    host_file_bytes: int
    left_bytes: int | None  # of the budget, over the reserved peak and the context


def stretches(turns: Sequence[Turn]) -> tuple[Stretch, ...]:
    """What each pair of turns encloses, in order."""
    parts: list[Stretch] = []
    upsampled = False
    named = _for_the_upsampler(turns)
    for turn, after in pairwise(named):
        if turn.component is None:
            continue
        upsampled |= turn.component == UPSAMPLER
        if turn.component == TRANSFORMER:
            stage = STAGE_2 if upsampled else STAGE_1
        else:
            stage = STAGE_OF[turn.component]
        parts.append(Stretch(stage, turn.doing, turn.at_s, after.at_s, after.before))
    return tuple(parts)


def stages(
    parts: Sequence[Stretch],
    host: Sequence[Sample],
    device: Sequence[DeviceUse],
    card: Card | None,
) -> tuple[Stage, ...]:
    """Each stage of the stretches, in the order in which they began.

    `device` is empty where nothing told of the card; `card` is None where none sets a budget.
    """
    names = dict.fromkeys(part.stage for part in parts)
    return tuple(
        _stage(name, [p for p in parts if p.stage == name], host, device, card) for name in names
    )


def left_bytes(reserved_bytes: int, card: Card) -> int:
    """What of the card is left over such a peak; less than nothing where it does not fit."""
    return card.usable_bytes - CONTEXT_BYTES - reserved_bytes


def _for_the_upsampler(turns: Sequence[Turn]) -> list[Turn]:
    """The same turns; a video encoder that is loaded just before the upsampler is the upsampler's,
    which takes its statistics.
    """
    given = list(turns)
    for at, turn in enumerate(turns):
        if (turn.component, turn.doing) != (UPSAMPLER, "load"):
            continue
        before = at - 1
        while before >= 0 and turns[before].component == VIDEO_ENCODER:
            given[before] = replace(turns[before], component=UPSAMPLER)
            before -= 1
    return given


def _stage(
    name: str,
    parts: Sequence[Stretch],
    host: Sequence[Sample],
    device: Sequence[DeviceUse],
    card: Card | None,
) -> Stage:
    peaks = [part.peaks for part in parts if part.peaks is not None]
    reserved = max((p.reserved_bytes for p in peaks), default=None)
    seen = [s for s in host if _within(s.at_s, parts)]
    used = [use.used_bytes for use in device if _within(use.at_s, parts)]
    return Stage(
        name=name,
        load_s=sum(p.end_s - p.begin_s for p in parts if p.doing == "load"),
        compute_s=sum(p.end_s - p.begin_s for p in parts if p.doing == "compute"),
        peak_allocated_bytes=max((p.allocated_bytes for p in peaks), default=None),
        peak_reserved_bytes=reserved,
        device_peak_bytes=max(used, default=None),
        host_anon_bytes=max((s.anon_bytes for s in seen), default=0),
        host_file_bytes=max((s.file_bytes for s in seen), default=0),
        left_bytes=left_bytes(reserved, card) if reserved is not None and card else None,
    )


def _within(at_s: float, parts: Sequence[Stretch]) -> bool:
    return any(part.begin_s <= at_s <= part.end_s for part in parts)
