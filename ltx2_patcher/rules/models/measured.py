"""What runs were measured to take of a card, as a baseline holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, parse_card
from ltx2_patcher.rules.models.workload import Workload


@dataclass(frozen=True, slots=True)
class Measured:
    """One run; `card_bytes` is its reserved peak with the CUDA context, and where it ran out of
    memory, one byte more than the card has.
    """

    base: str
    model: str  # "LTX-2 19B distilled"
    workload: Workload
    card_bytes: int
    budget_gib: float


def parse_baseline(baseline: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Every run of a baseline that ended well, and what its search for the longest clip tried.

    Raises: ValueError, KeyError or TypeError where it is no baseline.
    """
    return (*_runs(baseline), *_tries(baseline))


def of_base(known: Sequence[Measured], base: str | None) -> Sequence[Measured]:
    """Those of one base, as each takes what its upstream takes; all where none is of it."""
    return [one for one in known if one.base == base] or known


def _runs(baseline: Mapping[str, Any]) -> Iterator[Measured]:
    for run in baseline["runs"]:
        if run["ended_well"]:
            reserved = max(stage["peak_reserved_bytes"] for stage in run["stages"])
            yield _of(baseline, run, run["model"], run["frames"], reserved + CONTEXT_BYTES)


def _tries(baseline: Mapping[str, Any]) -> Iterator[Measured]:
    """Of each length that was tried the baseline holds what it left, in GiB."""
    card = parse_card(f"{baseline['budget_gib']}GB")
    longest = baseline.get("longest", {})
    for frames, left_gib in longest.get("tries", ()):
        took = card.usable_bytes + 1
        if left_gib is not None:
            took = card.allocator_bytes - int(left_gib * GIB) + CONTEXT_BYTES
        yield _of(baseline, longest, baseline["model"], frames, took)


def _of(
    baseline: Mapping[str, Any], run: Mapping[str, Any], model: str, frames: int, took: int
) -> Measured:
    width, height = map(int, run["size"].split("x"))
    flags = tuple(f"--{flag.strip()}" for flag in run["flags"].split("--") if flag.strip())
    workload = Workload(run["pipeline"], width, height, frames, flags)
    return Measured(baseline["base"], model, workload, took, baseline["budget_gib"])
