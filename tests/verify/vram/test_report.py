"""The curves of a report: what parked weights held stands at the times of what was allocated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.workload import Workload
from verify.vram.events import Held, Parked
from verify.vram.judge import VramVerdict
from verify.vram.report import report_of
from verify.vram.runner import Run

ASKED = Workload("distilled", 768, 512, 121, ("--vram-budget 6.5",))


def timeline(held: Sequence[Held], parked: Sequence[Parked]) -> dict[str, Any]:
    run = Run(
        code=0,
        wall_s=10.0,
        begin_s=100.0,
        stages=(),
        stretches=(),
        held=tuple(held),
        parked=tuple(parked),
        host=(),
        device=(),
        failure=None,
        last_words="",
    )
    report = report_of(ASKED, run, VramVerdict((), None), None, {}, 6.5)
    assert report["vram_budget_gib"] == 6.5
    curves: dict[str, Any] = report["timeline"]
    return curves


def test_each_moment_has_what_was_held_then() -> None:
    held = [Held(100.0 + at, 5 * GIB, 6 * GIB) for at in (1, 2, 3, 4)]
    parked = [Parked(101.5, 0, GIB), Parked(102.5, 2 * GIB, GIB), Parked(103.9, 0, 0)]
    curves = timeline(held, parked)
    assert curves["kept"] == [[1, 0], [2, 0], [3, 2], [4, 0]]
    assert curves["streamed"] == [[1, 0], [2, 1], [3, 1], [4, 0]]
    assert [at for at, _ in curves["allocated"]] == [1, 2, 3, 4]


def test_without_a_gpu_each_change_is_a_moment() -> None:
    curves = timeline([], [Parked(101.5, 0, GIB), Parked(102.5, 2 * GIB, GIB)])
    assert curves["kept"] == [[1.5, 0], [2.5, 2]]
    assert curves["streamed"] == [[1.5, 1], [2.5, 1]]
    assert curves["allocated"] == []


def test_weights_that_are_not_parked_have_no_bands() -> None:
    curves = timeline([Held(101.0, GIB, GIB)], [])
    assert curves["kept"] == curves["streamed"] == []
