"""What a request will take, by what requests of its kind took: a line over their latent tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ltx2_patcher.values.errors import UsageError
from verify.vram.asked import Asked
from verify.vram.baselines import Measured
from verify.vram.card import GIB, Card
from verify.vram.search import SHORTEST, STEP


def refuse_what_can_not_fit(asked: Asked, card: Card, known: Sequence[Measured]) -> None:
    """Return where the card may hold the request; what was never measured may.

    Raises: UsageError, with the nearest setting that fits.
    """
    need = forecast_bytes(asked, known)
    if need is not None and need > card.usable_bytes:
        raise UsageError(
            f"{asked.pipeline} at {asked.size} and {asked.frames} frames takes about "
            f"{math.ceil(need / GIB * 10) / 10} GiB, and a card of {card.name} has "
            f"{card.usable_bytes / GIB:.1f} to use",
            remedy=_nearest(asked, card, known),
        )


def forecast_bytes(asked: Asked, known: Sequence[Measured]) -> int | None:
    """The card's memory it will take, or None where too little was measured to tell.

    Of several bases and models, the one that takes the most.
    """
    alike: dict[tuple[str, str], dict[int, int]] = {}
    for one in known:
        if (one.asked.pipeline, set(one.asked.flags)) == (asked.pipeline, set(asked.flags)):
            points = alike.setdefault((one.base, one.model), {})
            points[one.asked.tokens] = max(one.card_bytes, points.get(one.asked.tokens, 0))
    lines = [_on_the_line(points, asked.tokens) for points in alike.values() if len(points) > 1]
    return max(lines, default=None)


def _on_the_line(points: dict[int, int], tokens: int) -> int:
    """Between two points, on the line from one to the next; beyond them, along the last one.

    Never less than the smallest: weights take what they take.
    """
    known = sorted(points.items())
    pair = next(((a, b) for a, b in pairwise(known) if tokens <= b[0]), known[-2:])
    (x, low), (end, high) = pair
    return max(known[0][1], int(low + (high - low) * (tokens - x) / (end - x)))


def _nearest(asked: Asked, card: Card, known: Sequence[Measured]) -> str:
    for frames in range((asked.frames - 1) // STEP * STEP + 1, SHORTEST - 1, -STEP):
        need = forecast_bytes(replace(asked, frames=frames), known)
        if need is not None and need <= card.usable_bytes:
            return f"give --num-frames {frames}, the most that fits at this size"
    fitting = [
        o.asked
        for o in known
        if o.card_bytes <= card.usable_bytes and o.asked.pipeline == asked.pipeline
    ]
    if not fitting:
        return "add --gemma-4bit --quantization fp8-cast, or use a larger card"
    best = max(fitting, key=lambda one: one.tokens)
    return f"give {best.size} and {best.frames} frames with {' '.join(best.flags) or 'no flags'}"
