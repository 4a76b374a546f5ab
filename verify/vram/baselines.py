"""The VRAM that was measured and committed: verify/baselines/vram-*.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.vram.asked import Asked
from verify.vram.card import CONTEXT_BYTES

FOLDER = Path(__file__).parents[1] / "baselines"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a baseline; `card_bytes` is its reserved peak with the CUDA context."""

    base: str
    model: str  # "LTX-2 19B distilled"
    asked: Asked
    card_bytes: int
    budget_gib: float


def read_baselines(folder: Path = FOLDER) -> tuple[Measured, ...]:
    """Every run that ended well in the committed baselines, by file and order."""
    return tuple(
        _measured(baseline, run)
        for path in sorted(folder.glob("vram-*.json"))
        for baseline in [json.loads(path.read_text("utf-8"))]
        for run in baseline["runs"]
        if run["ended_well"]
    )


def of_base(known: Sequence[Measured], base: str | None) -> Sequence[Measured]:
    """Those of one base, as each takes what its upstream takes; all where none is of it."""
    return [one for one in known if one.base == base] or known


def _measured(baseline: dict[str, Any], run: dict[str, Any]) -> Measured:
    width, height = map(int, run["size"].split("x"))
    flags = tuple(f"--{flag.strip()}" for flag in run["flags"].split("--") if flag.strip())
    asked = Asked(run["pipeline"], width, height, run["frames"], flags)
    reserved = max(stage["peak_reserved_bytes"] for stage in run["stages"])
    return Measured(
        baseline["base"], run["model"], asked, reserved + CONTEXT_BYTES, baseline["budget_gib"]
    )
