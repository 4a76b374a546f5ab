"""What a parked run needs of its card with no block kept there, as it was measured.

That is the least --vram-budget of a request. It grows with latent tokens: between two numbers of
them that were measured it is on the line from one to the other, beyond them nothing is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB
from ltx2_patcher.rules.models.forecast import SHORTEST_FRAMES, on_the_line
from ltx2_patcher.rules.models.request_checks import FRAME_STEP
from ltx2_patcher.rules.models.workload import Workload
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.finding import Finding, Level

_MARGIN_BYTES = GIB // 4  # that --vram-budget auto leaves free (ltx_core.parked.card)


@dataclass(frozen=True, slots=True)
class ParkedNeed:
    """One clip, and the most that torch reserved for it while every block passed."""

    base: str
    model: str  # "LTX-2"
    workload: Workload
    bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a clip will need."""

    bytes: int
    measured: bool  # whether its tokens lie among those that were


@dataclass(frozen=True, slots=True)
class CardBudget:
    """What torch may reserve of a card."""

    bytes: int
    given: bool  # as a number; else it is what is free on the card


def budget_of(vram_budget: float | Literal["auto"], free_bytes: int) -> CardBudget:
    """What a request's --vram-budget is on a card of which so much is free."""
    if vram_budget == "auto":
        return CardBudget(max(free_bytes - CONTEXT_BYTES - _MARGIN_BYTES, 0), given=False)
    return CardBudget(int(vram_budget * GIB), given=True)


def caution_of_free_memory(budget: CardBudget, free_bytes: int) -> Finding | None:
    """That less is free than the budget; None where it is there."""
    free = max(free_bytes - CONTEXT_BYTES, 0)
    if not budget.given or budget.bytes <= free:
        return None
    return Finding(
        "card's memory",
        Level.WARNING,
        f"--vram-budget allows {in_words(budget.bytes)}, and beside CUDA's own {in_words(free)} of "
        "the card are free",
        "give --vram-budget auto, or end what else uses the card",
    )


def parse_needs(baseline: Mapping[str, Any]) -> tuple[ParkedNeed, ...]:
    """Those that a baseline of parked weights holds.

    Raises: ValueError, KeyError or TypeError where it is no baseline.
    """
    return tuple(
        ParkedNeed(
            baseline["base"],
            _MODELS[row["variant"]],
            Workload(row["pipeline"], row["width"], row["height"], row["frames"], ()),
            int(row["reserved_gib"] * GIB),
        )
        for row in baseline.get("needs", ())
    )


_MODELS = {"2.0": "LTX-2", "2.3": "LTX-2.3", "2.5": "LTX-2.5"}


def forecast_need(workload: Workload, model: str, known: Sequence[ParkedNeed]) -> Forecast | None:
    """Of several bases the one that needs the most; None where none was measured."""
    alike: dict[str, dict[int, int]] = {}
    for one in known:
        if (one.workload.pipeline, one.model) == (workload.pipeline, model):
            points = alike.setdefault(one.base, {})
            tokens = one.workload.tokens
            points[tokens] = max(one.bytes, points.get(tokens, 0))
    found = [_forecast(points, workload.tokens) for points in alike.values()]
    return max(found, key=lambda one: (one.bytes, one.measured), default=None)


def refusal_of_budget(
    workload: Workload, model: str, budget: CardBudget, known: Sequence[ParkedNeed]
) -> UsageError | None:
    """Why the budget is too small for what was measured; None where it is not."""
    need = forecast_need(workload, model, known)
    if need is None or not need.measured or need.bytes <= budget.bytes:
        return None
    return UsageError(
        _too_small(workload, need, budget), remedy=_remedy(workload, model, need, budget, known)
    )


def caution_of_budget(
    workload: Workload, model: str, budget: CardBudget, known: Sequence[ParkedNeed]
) -> Finding | None:
    """That the budget is likely too small, for a clip smaller or larger than any measured."""
    need = forecast_need(workload, model, known)
    if need is None or need.measured or need.bytes <= budget.bytes:
        return None
    fact = f"{_too_small(workload, need, budget)} (reckoned: none of its size was measured)"
    remedy = _remedy(workload, model, need, budget, known)
    return Finding("card's memory", Level.WARNING, fact, remedy)


def _forecast(points: Mapping[int, int], tokens: int) -> Forecast:
    """Memory never shrinks as tokens grow; where it was measured so, the larger counts."""
    sizes = sorted(points)
    most = dict(zip(sizes, accumulate((points[size] for size in sizes), max), strict=True))
    need = on_the_line(most, tokens) if len(most) > 1 else most[sizes[0]]
    return Forecast(need, sizes[0] <= tokens <= sizes[-1])


def _too_small(workload: Workload, need: Forecast, budget: CardBudget) -> str:
    allowed = f"--vram-budget allows {in_words(budget.bytes)}"
    if not budget.given:
        allowed = f"{in_words(budget.bytes)} of it are free"
    return (
        f"{workload.pipeline} at {workload.size} and {workload.frames} frames takes about "
        f"{_tenths(need.bytes)} GiB of the card with all weights in host memory, and {allowed}"
    )


def _remedy(
    workload: Workload,
    model: str,
    need: Forecast,
    budget: CardBudget,
    known: Sequence[ParkedNeed],
) -> str:
    """The least budget that does, and the nearest request that this one does for."""
    more = f"give --vram-budget {_tenths(need.bytes)}"
    if not budget.given:
        more = "end what else uses the card"
    most = (workload.frames - 1) // FRAME_STEP * FRAME_STEP + 1
    for frames in range(most, SHORTEST_FRAMES - 1, -FRAME_STEP):
        found = forecast_need(replace(workload, frames=frames), model, known)
        if found is not None and found.bytes <= budget.bytes:
            return f"{more}, or --num-frames {frames}, the most that fits at this size"
    fitting = [
        one.workload
        for one in known
        if one.bytes <= budget.bytes
        and (one.workload.pipeline, one.model) == (workload.pipeline, model)
    ]
    if not fitting:
        return f"{more}, or take a larger card"
    best = max(fitting, key=lambda one: one.tokens)
    return (
        f"{more}, or --width {best.width} --height {best.height} --num-frames "
        f"{min(best.frames, most)}, the largest measured that fits"
    )


def _tenths(count: int) -> float:
    """GiB, rounded up: less than this does not do."""
    return math.ceil(count / GIB * 10) / 10
