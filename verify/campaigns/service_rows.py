"""The rows of the campaign of the service, as data: what each measures, and what that must be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any

Figures = Mapping[str, float]
Check = dict[str, Any]
"""A sentence as "text", and whether it "passed"."""


class Of(Enum):
    """What renders the clips of a row."""

    FAKE = "a fake renderer"
    DEMO = "tiny models"
    CARDS = "models of the campaign's size, on cards"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must come to."""

    figure: str
    limit: float
    plus: tuple[str, ...] = ()  # figures that the limit grows by
    is_least: bool = False  # it must be so much, not at most so much
    of_size: bool = False  # tiny models say nothing of it


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    of: Of
    bounds: tuple[Bound, ...]
    limit_s: float  # then it has failed
    ends_service: bool = False  # the row after it begins with one that has loaded nothing


@dataclass(frozen=True, slots=True)
class Run:
    """What a row came to."""

    row: str
    seconds: float = 0.0
    figures: Figures = field(default_factory=dict)
    failure: str | None = None


SCALING = {2: 1.95 / 2, 4: 0.95, 8: 0.93}
"""Of what as many cards would make if each made what one alone does, by how many there are."""
SHARING = {2: 1.15, 4: 1.3, 8: 1.3}
"""Host memory of all workers over that of one, by how many there are."""
POINT_S, RELOAD_S, UP_S, DEMO_S = 0.5, 10.0, 3.0, 60.0
MEDIAN_MS, P99_MS = 5.0, 50.0

_OVERHEAD = tuple(
    Bound(f"{what}_{rank}_ms", limit)
    for what in ("accepted", "told")
    for rank, limit in (("median", MEDIAN_MS), ("p99", P99_MS))
)
_LOST = Bound("lost", 0)
_KEPT = Bound("attempts", 1)
OVERHEAD, OVERHEAD_SHM = "overhead, on a disk", "overhead, in memory"
CANCEL, LOST, POLLED = "cancel", "a worker killed", "200 pollers"
MEMORY_FULL, DEMO, RESTART = "after out of memory", "from start to a clip", "the API killed"
SHARED, SCALED = "cards: host memory", "cards: clips a minute, then three kills"
CARD_RESTART, CARD_CANCEL = "cards: the API killed", "cards: cancel"
CARD_MEMORY = "cards: after out of memory"
CARD_START, CARD_LINKS = "cards: from start to all at work", "cards: links"
CARD_POLLED = "cards: 200 pollers"

_POLLED = (Bound("status_p99_ms", P99_MS), Bound("failed", 0))
ALONE = (
    Row(OVERHEAD, Of.FAKE, _OVERHEAD, 120),
    Row(OVERHEAD_SHM, Of.FAKE, _OVERHEAD, 120),
    Row(CANCEL, Of.FAKE, (Bound("cancel_p99_s", POINT_S, plus=("point_s",)),), 180),
    Row(LOST, Of.FAKE, (Bound("again_max_s", RELOAD_S), _LOST), 180),
    Row(POLLED, Of.FAKE, _POLLED, 120),
    Row(MEMORY_FULL, Of.FAKE, (Bound("failed", 0), _KEPT), 60),
    Row(DEMO, Of.DEMO, (Bound("first_clip_s", DEMO_S),), 180),
    Row(RESTART, Of.DEMO, (Bound("serving_max_s", UP_S), _KEPT, _LOST), 300),
)


def card_rows(cards: int) -> tuple[Row, ...]:
    """The rows of a machine with so many cards."""
    scaling, sharing = (_of_as_many(limits, cards) for limits in (SCALING, SHARING))
    return (
        Row(CARD_START, Of.CARDS, (), 240, ends_service=True),
        Row(CARD_LINKS, Of.CARDS, (), 120),
        Row(SHARED, Of.CARDS, (Bound("ratio", sharing, of_size=True),), 120 + 60 * cards),
        Row(
            SCALED,
            Of.CARDS,
            (
                Bound("of_each", scaling, is_least=True, of_size=True),
                _LOST,
                Bound("unanswered", 0),
                Bound("kills", 3, is_least=True),
                Bound("claimed_max_s", RELOAD_S),
                Bound("again_max_s", RELOAD_S, plus=("load_s",), of_size=True),
            ),
            600,
        ),
        Row(CARD_POLLED, Of.CARDS, _POLLED, 120),
        Row(
            CARD_RESTART,
            Of.CARDS,
            (Bound("serving_max_s", UP_S, of_size=True), _KEPT, _LOST),
            120,
        ),
        Row(
            CARD_CANCEL,
            Of.CARDS,
            (Bound("cancel_max_s", POINT_S, plus=("point_s",), of_size=True),),
            150,
        ),
        Row(
            CARD_MEMORY,
            Of.CARDS,
            (Bound("out_of_memory", 1, is_least=True, of_size=True), Bound("failed", 0)),
            120,
        ),
    )


def _of_as_many(limits: Mapping[int, float], cards: int) -> float:
    """The limit of so many cards; between two of those that have one, of the more."""
    return next((limit for most, limit in limits.items() if cards <= most), [*limits.values()][-1])


def checks(rows: Sequence[Row], runs: Sequence[Run], *, full: bool) -> list[Check]:
    """What the runs so far came to; of tiny models some figures say nothing."""
    of_rows = {row.name: row for row in rows}
    return [check for run in runs for check in _checks(of_rows[run.row], run, full=full)]


def _checks(row: Row, run: Run, *, full: bool) -> Iterator[Check]:
    if run.failure is not None:
        yield {"text": f"{row.name}: {run.failure}", "passed": False}
        return
    for bound in row.bounds:
        if bound.figure in run.figures and (full or not bound.of_size):
            limit = bound.limit + sum(run.figures[name] for name in bound.plus)
            value = run.figures[bound.figure]
            word = "at least" if bound.is_least else "at most"
            yield {
                "text": f"{row.name}: {bound.figure} {value:g}, {word} {round(limit, 3):g}",
                "passed": value >= limit if bound.is_least else value <= limit,
            }


def spread(name: str, values: Sequence[float], *, unit: str = "s") -> dict[str, float]:
    """The median, 99th percentile and largest of some seconds, in that unit: "s" or "ms"."""
    scale = 1000 if unit == "ms" else 1
    in_order = sorted(value * scale for value in values)
    p99 = in_order[math.ceil(0.99 * len(in_order)) - 1]
    told = {"median": median(in_order), "p99": p99, "max": in_order[-1]}
    return {f"{name}_{rank}_{unit}": round(value, 3) for rank, value in told.items()}


def parse_run(entry: Mapping[str, Any]) -> Run:
    """A run as a baseline keeps it. Raises: TypeError (another version wrote it)."""
    return Run(**entry)
