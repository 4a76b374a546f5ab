"""One file of verify/baselines/ while a campaign fills it, run by run.

A campaign that was cut off, by hand or by a machine that went away, finds there what it has
measured, and goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.card import GIB, SPARE_BYTES
from ltx2_patcher.values.errors import InvalidError
from verify.vram.report import report_text
from verify.vram.search import Try

FASTER = 1.5
"""How many times faster a prequantized root is to load than one that is quantized meanwhile."""
READ_BYTES = 8 * GIB
"""The most that a prequantized root may hold."""

Entry = Mapping[str, Any]
"""A run as `baseline_run` keeps it."""


def resume_baseline(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Read the baseline at `path` where it is of the same code, machine and model, else begin an
    empty one; its date is that of `about`, as what is measured last counts.

    Raises: InvalidError (it is damaged).
    """
    empty = {**about, "checks": [], "runs": []}
    if not path.exists():
        return empty
    try:
        baseline: dict[str, Any] = json.loads(path.read_bytes())
        alike = all(baseline[key] == about[key] for key in about if key != "date")
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError(f"{path} is no baseline", remedy="remove it") from error
    return {**baseline, "date": about["date"]} if alike else empty


def slug(text: str) -> str:
    """For a file's name: "NVIDIA H100" is "nvidia-h100"."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in text.lower()).split())


def write_baseline(path: Path, baseline: Mapping[str, Any]) -> None:
    """Write the file at `path` whole, or not at all. Raises: OutsideError."""
    disk.replace(path, report_text(baseline).encode())


def with_run(runs: Sequence[Entry], new: Entry, order: Sequence[str]) -> list[Entry]:
    """The runs with `new` in place of an older one, in the order of the campaign's names."""
    by_name = {run["name"]: run for run in (*runs, new)}
    return [by_name[name] for name in order if name in by_name]


def checks(runs: Sequence[Entry], root_bytes: int) -> list[dict[str, Any]]:
    """What has to hold between runs: a prequantized root of so many bytes loads faster, and is
    small.
    """
    loads = {
        run["name"]: stage["load_s"]
        for run in runs
        for stage in run["stages"]
        if stage["name"] == "text encoding"
    }
    judged = []
    for name, seconds in loads.items():
        beside = name.replace("prequantized", "--gemma-4bit")
        if beside == name or beside not in loads:
            continue
        text = f"{name}: {seconds} s to load, {loads[beside]} s quantizing meanwhile"
        judged.append({"text": text, "passed": seconds * FASTER <= loads[beside]})
        text = f"{name}: {root_bytes / GIB:.2f} GiB read"
        judged.append({"text": text, "passed": 0 < root_bytes <= READ_BYTES})
    return judged


def with_tries(
    baseline: Mapping[str, Any], about: Mapping[str, Any], tries: Iterable[Try]
) -> dict[str, Any]:
    """Put what a search for the longest clip has tried so far into a copy of the baseline; `about`
    says what was searched.

    A try is its frames and the GiB that it left, rounded down, or null where it ran out of memory.
    """
    left = sorted((one.frames, one.left_bytes) for one in tries)
    lengths = [
        [frames, None if bytes_ is None else math.floor(bytes_ / GIB * 100) / 100]
        for frames, bytes_ in left
    ]
    return {**baseline, "longest": {**about, "tries": lengths}}


def tries_of(baseline: Mapping[str, Any]) -> list[Try]:
    """What a search has tried already."""
    return [
        Try(frames, None if gib is None else int(gib * GIB))
        for frames, gib in baseline.get("longest", {}).get("tries", ())
    ]


def as_try(run: Entry) -> Try | None:
    """Take a run for a try of its length; None where it ended for another reason than memory."""
    if run["out_of_memory"]:
        return Try(run["frames"], None)
    if not run["ended_well"]:
        return None
    return Try(run["frames"], min(stage["left_bytes"] for stage in run["stages"]) - SPARE_BYTES)
