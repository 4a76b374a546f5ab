"""What a request will take, by what requests of its kind took: a line over their latent tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ltx2_patcher.rules.models.card import GIB, Card
from ltx2_patcher.rules.models.measured import Measured
from ltx2_patcher.rules.models.request_checks import FRAME_STEP
from ltx2_patcher.rules.models.workload import Workload
from ltx2_patcher.values.errors import UsageError

SHORTEST_FRAMES = FRAME_STEP + 1
USUAL_CLIP = ("768x512", 121)
"""What a card is advised for: five seconds at the size that every baseline has."""


def require_fit(workload: Workload, card: Card, known: Sequence[Measured]) -> None:
    """The card may hold the workload; what was never measured may.

    Raises: UsageError otherwise, with the nearest setting that fits.
    """
    need = forecast_bytes(workload, known)
    if need is not None and need > card.usable_bytes:
        raise UsageError(
            f"{workload.pipeline} at {workload.size} and {workload.frames} frames takes about "
            f"{math.ceil(need / GIB * 10) / 10} GiB, and a card of {card.name} has "
            f"{card.usable_bytes / GIB:.1f} to use",
            remedy=_nearest(workload, card, known),
        )


def forecast_bytes(workload: Workload, known: Sequence[Measured]) -> int | None:
    """The card's memory it will take, or None where too little was measured to tell.

    Of several bases and models, the one that takes the most.
    """
    alike: dict[tuple[str, str], dict[int, int]] = {}
    for one in known:
        same = one.workload
        if (same.pipeline, set(same.flags)) == (workload.pipeline, set(workload.flags)):
            points = alike.setdefault((one.base, one.model), {})
            points[same.tokens] = max(one.card_bytes, points.get(same.tokens, 0))
    lines = [on_the_line(points, workload.tokens) for points in alike.values() if len(points) > 1]
    return max(lines, default=None)


def usual_bytes(
    known: Sequence[Measured], variant: str, transformer_flags: frozenset[str]
) -> int | None:
    """The most that a clip of 768x512 and 121 frames took of a card with a model of the variant
    held so, over all bases and pipelines; None where none was measured.
    """
    took = [
        one.card_bytes
        for one in known
        if one.model.startswith(variant)
        and (one.workload.size, one.workload.frames) == USUAL_CLIP
        and one.workload.transformer_flags == transformer_flags
    ]
    return max(took, default=None)


def on_the_line(points: dict[int, int], tokens: int) -> int:
    """Between two points, on the line from one to the next; beyond them, along the last one.

    Never less than the smallest: weights take what they take.
    """
    known = sorted(points.items())
    pair = next(((a, b) for a, b in pairwise(known) if tokens <= b[0]), known[-2:])
    (x, low), (end, high) = pair
    return max(known[0][1], int(low + (high - low) * (tokens - x) / (end - x)))


def _nearest(workload: Workload, card: Card, known: Sequence[Measured]) -> str:
    most = (workload.frames - 1) // FRAME_STEP * FRAME_STEP + 1
    for frames in range(most, SHORTEST_FRAMES - 1, -FRAME_STEP):
        need = forecast_bytes(replace(workload, frames=frames), known)
        if need is not None and need <= card.usable_bytes:
            return f"give --num-frames {frames}, the most that fits at this size"
    fitting = [
        one.workload
        for one in known
        if one.card_bytes <= card.usable_bytes and one.workload.pipeline == workload.pipeline
    ]
    if not fitting:
        return "add --gemma-4bit --quantization fp8-cast, or use a larger card"
    best = max(fitting, key=lambda one: one.tokens)
    return f"give {best.size} and {best.frames} frames with {' '.join(best.flags) or 'no flags'}"
