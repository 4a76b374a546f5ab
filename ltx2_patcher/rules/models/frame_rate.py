"""Whether a clip's file states the frame rate that its sound was made for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.rules.models.abilities import nearest, whole_series
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.sound import SOUNDS
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.finding import Finding, Level


def caution_of_rate(
    pipeline: Pipeline, rate: float | None, able: Abilities, others: Sequence[Abilities]
) -> Finding | None:
    """What is told of the rate that was asked for; None where the file states it."""
    if rate is None or not _rounds(pipeline, able, rate):
        return None
    offering = nearest(able, others, "exact-rates")
    if offering is None:
        elsewhere = ""
    elif offering.base == able.base:
        elsewhere = f", or {whole_series(able)}"
    else:
        elsewhere = f", or take base {offering.base}"
    remedy = f"give --frame-rate {max(1, round(rate))}{elsewhere}"
    return Finding("frame rate", Level.WARNING, f"--frame-rate: {_told(able, rate)}", remedy)


def caution_of_video_rate(
    option: str, path: Path, rate: float | None, pipeline: Pipeline, able: Abilities
) -> Finding | None:
    """What is told of the rate that a script takes from a video, which those do that hear it; None
    where the file states it.
    """
    if option not in SOUNDS or rate is None or not _rounds(pipeline, able, rate):
        return None
    whole = max(1, round(rate))
    return Finding(
        "frame rate",
        Level.WARNING,
        f"{option} {path}: {_told(able, rate)}",
        f"give it at a whole rate: ffmpeg -i {path.name} -r {whole} at_{whole}.mp4",
    )


def _rounds(pipeline: Pipeline, able: Abilities, rate: float) -> bool:
    rounds = pipeline.rounds_rate or not able.states_exact_rates
    return pipeline.makes == "video" and rounds and rate != int(rate)


def _told(able: Abilities, rate: float) -> str:
    part = 1 - int(rate) / rate
    return (
        f"base {able.base} writes {rate:.5g} frames a second as {int(rate)}, so that pictures and "
        f"sound part by {part:.1%}"
    )
