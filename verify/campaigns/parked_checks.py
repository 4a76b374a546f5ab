"""What has to hold of the runs of a campaign of parked weights, and what they tell of needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verify.campaigns.parked_cases import LARGEST_GIB, Budget, Judged, Row

SLOWER, OFF, GROWN, SHARED = 1.1, 0.1, 0.01, 1.15
"""The bounds that Judged puts into words."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one task of a row came to."""

    case: str  # the row
    way: str  # the task
    pipeline: str
    width: int
    height: int
    frames: int
    steps: int | None  # of a guided stage: None is upstream's own number; the peak needs few
    budget_gib: Budget
    seconds: tuple[float, ...] = ()  # of each clip, from its request on
    reserved_gib: float | None = None  # the most that torch reserved; None where nobody told
    clips: tuple[str, ...] = ()  # their SHA-256
    figures: Mapping[str, float] = field(default_factory=dict)
    failure: str | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.case}: {self.way}"


def parse_run(entry: Mapping[str, Any]) -> Run:
    """A run as a baseline keeps it. Raises: TypeError (another version wrote it)."""
    return Run(**{**entry, "seconds": tuple(entry["seconds"]), "clips": tuple(entry["clips"])})


Check = dict[str, Any]
"""A sentence as "text", and whether it "passed"."""


def checks(rows: Sequence[Row], runs: Sequence[Run], *, full: bool) -> list[Check]:
    """What the runs so far came to; of tiny ones, not `full`, no figure says anything."""
    found: list[Check] = []
    for row in rows:
        own = [run for run in runs if run.case == row.name]
        ended = [run for run in own if run.failure is None]
        found += [_check(f"{run.name}: {run.failure}", False) for run in own if run.failure]
        found += _within(ended)
        match row.judged:
            case Judged.EQUAL:
                found += _equal(row.name, ended)
            case Judged.ARITHMETIC if full:
                found += _near_arithmetic(row.name, ended)
            case Judged.LINK if full:
                found += _as_reckoned(ended)
            case Judged.GROWTH if full:
                found += _grown(ended)
            case Judged.SHARED if full:
                found += _shared(ended)
    return found


def needs(rows: Sequence[Row], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What clips take of a card with no block kept."""
    variants = {row.name: row.files.variant for row in rows if row.judged is Judged.NEEDS}
    return [
        {
            "pipeline": run.pipeline,
            "variant": variants[run.case].value,
            "width": run.width,
            "height": run.height,
            "frames": run.frames,
            "reserved_gib": run.reserved_gib,
        }
        for run in runs
        if run.case in variants and run.reserved_gib is not None
    ]


def _within(runs: Sequence[Run]) -> Iterator[Check]:
    for run in runs:
        if isinstance(run.budget_gib, float) and run.reserved_gib is not None:
            text = f"{run.name}: {run.reserved_gib} GiB reserved of {run.budget_gib}"
            yield _check(text, run.reserved_gib <= run.budget_gib)


def _equal(name: str, runs: Sequence[Run]) -> Iterator[Check]:
    plain = [clip for run in runs if run.budget_gib is None for clip in run.clips]
    if len(set(plain)) > 1:
        yield _check(f"{name}: the unparked clips equal one another", False)
    for run in runs:
        if plain and run.budget_gib is not None:
            yield _check(f"{run.name}: the clips equal the unparked one", {*run.clips} == {*plain})


def _near_arithmetic(name: str, runs: Sequence[Run]) -> Iterator[Check]:
    seconds = {run.budget_gib: run.seconds[-1] for run in runs}
    if {LARGEST_GIB, "auto"} <= seconds.keys():
        passing, whole = seconds[LARGEST_GIB], seconds["auto"]
        text = f"{name}: {passing} s at {LARGEST_GIB} GiB, {whole} with all weights on the card"
        yield _check(text, passing <= SLOWER * whole)


def _as_reckoned(runs: Sequence[Run]) -> Iterator[Check]:
    for run in runs:
        if {"step_s", "reckoned_s"} <= run.figures.keys():
            step_s, reckoned_s = run.figures["step_s"], run.figures["reckoned_s"]
            text = f"{run.name}: {step_s} s a step, {reckoned_s} reckoned"
            yield _check(text, abs(step_s / reckoned_s - 1) <= OFF)


def _grown(runs: Sequence[Run]) -> Iterator[Check]:
    for run in runs:
        for what in ("reserved", "host"):
            first, last = run.figures[f"first_{what}_gib"], run.figures[f"last_{what}_gib"]
            text = f"{run.name}: {what} {first} GiB after the first round, {last} at the end"
            yield _check(text, last <= first * (1 + GROWN))


def _shared(runs: Sequence[Run]) -> Iterator[Check]:
    for run in runs:
        one, two = run.figures["one_gib"], run.figures["two_gib"]
        yield _check(f"{run.name}: {one} GiB of host memory, then {two}", two <= SHARED * one)
        yield _check(f"{run.name}: both made the same clip", len({*run.clips}) == 1)


def _check(text: str, passed: bool) -> Check:
    return {"text": text, "passed": passed}
