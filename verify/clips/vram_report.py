"""A report of `verify.vram` as the page shows it: a JSON file, and a timeline (PNG) beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import InvalidError, UsageError

_COLUMNS = (
    ("load_s", "loading", "s"),
    ("compute_s", "computing", "s"),
    ("peak_allocated_bytes", "allocated", "GiB"),
    ("peak_reserved_bytes", "reserved", "GiB"),
    ("device_peak_bytes", "device", "GiB"),
    ("host_anon_bytes", "host, anonymous", "GiB"),
    ("host_file_bytes", "host, mapped", "GiB"),
    ("left_bytes", "left of budget", "GiB"),
)
COLUMNS = tuple(f"{title}, {unit}" for _, title, unit in _COLUMNS)


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage of a pipeline."""

    name: str
    figures: tuple[float | None, ...]  # by `COLUMNS`; None where it was not measured


@dataclass(frozen=True, slots=True)
class VramReport:
    """What one run took, stage by stage."""

    title: str  # "distilled --gemma-4bit, base 1.0.0"
    machine: str
    budget_gib: float | None  # None where nothing held it to one
    passed: bool
    text: str
    stages: tuple[StageFigures, ...]
    timeline: bytes | None  # a PNG


def read_vram_report(path: Path) -> VramReport:
    """Raises: UsageError (no such file), InvalidError (it is no such report), OutsideError."""
    with translated(path):
        if not path.is_file():
            raise UsageError(f"there is no {path}", remedy="name a report of verify.vram")
        text = path.read_text("utf-8", "replace")
        picture = path.with_suffix(".png")
        timeline = picture.read_bytes() if picture.is_file() else None
    try:
        raw = json.loads(text)
        flags = raw["flags"] if isinstance(raw["flags"], str) else " ".join(raw["flags"])
        return VramReport(
            title=f"{raw['pipeline']} {flags}".strip() + f", base {raw['base']}",
            machine=str(raw["machine"]),
            budget_gib=None if raw["budget_gib"] is None else float(raw["budget_gib"]),
            passed=raw["verdict"]["passed"] is True,
            text=str(raw["verdict"]["text"]),
            stages=tuple(
                StageFigures(
                    str(stage["name"]), tuple(_figure(stage, *column) for column in _COLUMNS)
                )
                for stage in raw["stages"]
            ),
            timeline=timeline,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidError(
            f"{path} is no report of verify.vram", remedy="measure again: python -m verify.vram"
        ) from error


def _figure(stage: dict[str, float | None], key: str, _title: str, unit: str) -> float | None:
    value = stage[key]
    if value is None:
        return None
    return float(value) / 2**30 if unit == "GiB" else float(value)
