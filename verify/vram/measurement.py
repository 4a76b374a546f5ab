"""A request that was run, and how it was judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verify.vram.ending import failure_of
from verify.vram.events import Turn
from verify.vram.judge import VramVerdict, absent, judged
from verify.vram.limits import read_limits
from verify.vram.report import report_of
from verify.vram.requests import Prepared
from verify.vram.runner import Run, measure


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of a script, by its budget and verify/limits.toml."""

    ready: Prepared
    run: Run
    verdict: VramVerdict

    def report(self) -> dict[str, Any]:
        """For a file, and for the timeline."""
        ready = self.ready
        return report_of(
            ready.workload,
            self.run,
            self.verdict,
            ready.task.card,
            ready.about,
            ready.vram_budget_gib,
        )


def measured(ready: Prepared, *, on_turn: Callable[[Turn], None] = lambda _: None) -> Measurement:
    """Run it to its end, well or not. Raises: as `measure`, InvalidError (limits.toml)."""
    limits = read_limits()
    run = measure(ready.task, on_turn=on_turn)
    verdict = VramVerdict(
        checks=judged(ready.workload, run.stages, ready.task.card, limits, ready.vram_budget_gib),
        failure=failure_of(run),
        absent=absent(ready.workload, run.stages, limits),
    )
    return Measurement(ready, run, verdict)
