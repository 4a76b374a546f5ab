"""A measured run as a report: JSON for machines, a table for people."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ltx2_patcher.rules.models.card import GIB, Card
from ltx2_patcher.rules.models.workload import Workload
from verify.vram.events import Parked
from verify.vram.judge import VramVerdict
from verify.vram.runner import Run
from verify.vram.stages import Stage

TIMELINE_POINTS = 400
"""Of each curve in a report; a point is the most in its share of the time."""


def report_of(
    workload: Workload,
    run: Run,
    verdict: VramVerdict,
    card: Card | None,
    about: Mapping[str, object],
    vram_budget_gib: float | None = None,
) -> dict[str, Any]:
    """The report; `about` are the fields of provenance, which stand first.

    `vram_budget_gib` is what parked weights were to keep to; None where they had no such number.
    """
    return {
        **about,
        "pipeline": workload.pipeline,
        "size": workload.size,
        "frames": workload.frames,
        "flags": " ".join(workload.flags),
        "budget_gib": None if card is None else card.nominal_bytes / GIB,
        "vram_budget_gib": vram_budget_gib,
        "out_of_memory": run.out_of_memory,
        "verdict": {"passed": verdict.passed, "text": verdict.text},
        "wall_s": round(run.wall_s, 2),
        "stages": [_rounded(asdict(stage)) for stage in run.stages],
        "stretches": [
            {
                "stage": part.stage,
                "doing": part.doing,
                "begin_s": round(part.begin_s - run.begin_s, 2),
                "end_s": round(part.end_s - run.begin_s, 2),
            }
            for part in run.stretches
        ],
        "timeline": _timeline(run),
    }


def baseline_run(
    report: Mapping[str, Any], name: str, model: str, *, expected: bool, whole: bool = True
) -> dict[str, Any]:
    """What a baseline keeps of a report: no curves, which are a picture's.

    `expected` tells that it came to what it had to, `whole` that it was no part of a run.
    """
    fields = ("pipeline", "size", "frames", "flags", "out_of_memory", "verdict", "wall_s", "stages")
    return {
        "name": name,
        "model": model,
        "as_expected": expected,
        "ended_well": report["verdict"]["passed"] and whole,
        **{key: report[key] for key in fields},
    }


def table(stages: Sequence[Stage]) -> str:
    """The stages, a line each: seconds, and GiB."""
    head = (
        "stage",
        "load s",
        "compute s",
        "allocated",
        "reserved",
        "device",
        "host",
        "mapped",
        "left",
    )
    rows = [
        (
            stage.name,
            f"{stage.load_s:.1f}",
            f"{stage.compute_s:.1f}",
            *map(
                gib,
                (
                    stage.peak_allocated_bytes,
                    stage.peak_reserved_bytes,
                    stage.device_peak_bytes,
                    stage.host_anon_bytes,
                    stage.host_file_bytes,
                    stage.left_bytes,
                ),
            ),
        )
        for stage in stages
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in (head, *rows)
    )


def gib(value: int | None) -> str:
    """In GiB, or a dash for what was not measured."""
    return "-" if value is None else f"{value / GIB:.2f}"


def report_text(report: Mapping[str, Any]) -> str:
    """The file's contents: a line a stage and a curve, so that a diff can be read."""
    lines = []
    for key, value in report.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            inner = ",\n".join(f"    {json.dumps(one)}" for one in value)
            lines.append(f"  {json.dumps(key)}: [\n{inner}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(stage: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in stage.items()}


def _timeline(run: Run) -> dict[str, list[list[float]]]:
    """Curves of [seconds, GiB]; one without points was not measured."""
    return {
        "reserved": _curve(((h.at_s, h.reserved_bytes) for h in run.held), run),
        "allocated": _curve(((h.at_s, h.allocated_bytes) for h in run.held), run),
        "kept": _curve(((at_s, p.kept_bytes) for at_s, p in _parked(run)), run),
        "streamed": _curve(((at_s, p.passing_bytes) for at_s, p in _parked(run)), run),
        "device": _curve(((d.at_s, d.used_bytes) for d in run.device), run),
        "host": _curve(((s.at_s, s.anon_bytes) for s in run.host), run),
    }


def _parked(run: Run) -> Iterator[tuple[float, Parked]]:
    """What parked weights held whenever the allocator was looked at; without a GPU, when it
    changed.
    """
    if not run.parked:
        return
    begins_s = [parked.at_s for parked in run.parked]
    held = (Parked(run.begin_s, 0, 0), *run.parked)
    for at_s in [one.at_s for one in run.held] or begins_s:
        yield at_s, held[bisect_right(begins_s, at_s)]


def _curve(points: Iterable[tuple[float, int]], run: Run) -> list[list[float]]:
    """At most TIMELINE_POINTS of them; the highest of each share of the run's time."""
    share = max(run.wall_s, 1e-9) / TIMELINE_POINTS
    highest: dict[int, list[float]] = {}
    for at_s, value in points:
        second = at_s - run.begin_s
        seen = highest.setdefault(int(second / share), [round(second, 2), 0.0])
        seen[1] = max(seen[1], round(value / GIB, 3))
    return list(highest.values())
