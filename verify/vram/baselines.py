"""The VRAM that was measured and committed: verify/baselines/vram-*.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.vram.asked import Asked
from verify.vram.baseline_file import tries_of
from verify.vram.card import CONTEXT_BYTES, parse_card

FOLDER = Path(__file__).parents[1] / "baselines"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a baseline; `card_bytes` is its reserved peak with the CUDA context, and where it
    ran out of memory, one byte more than the card has.
    """

    base: str
    model: str  # "LTX-2 19B distilled"
    asked: Asked
    card_bytes: int
    budget_gib: float


def read_baselines(folder: Path = FOLDER) -> tuple[Measured, ...]:
    """Every run that ended well in the committed baselines, by file and order, and behind those of
    each file what the search for the longest clip tried.
    """
    return tuple(
        measured
        for path in sorted(folder.glob("vram-*.json"))
        for measured in _all_of(json.loads(path.read_text("utf-8")))
    )


def of_base(known: Sequence[Measured], base: str | None) -> Sequence[Measured]:
    """Those of one base, as each takes what its upstream takes; all where none is of it."""
    return [one for one in known if one.base == base] or known


def _all_of(baseline: dict[str, Any]) -> Iterator[Measured]:
    for run in baseline["runs"]:
        if run["ended_well"]:
            reserved = max(stage["peak_reserved_bytes"] for stage in run["stages"])
            yield _measured(baseline, run, run["frames"], reserved + CONTEXT_BYTES)
    card = parse_card(f"{baseline['budget_gib']}GB")
    for one in tries_of(baseline):
        took = card.usable_bytes + 1
        if one.left_bytes is not None:
            took = card.allocator_bytes - one.left_bytes + CONTEXT_BYTES
        like = {**baseline["longest"], "model": baseline["model"]}
        yield _measured(baseline, like, one.frames, took)


def _measured(baseline: dict[str, Any], run: dict[str, Any], frames: int, took: int) -> Measured:
    width, height = map(int, run["size"].split("x"))
    flags = tuple(f"--{flag.strip()}" for flag in run["flags"].split("--") if flag.strip())
    asked = Asked(run["pipeline"], width, height, frames, flags)
    return Measured(baseline["base"], run["model"], asked, took, baseline["budget_gib"])
