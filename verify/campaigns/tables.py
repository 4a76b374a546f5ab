"""docs/measured.md: what was measured, in tables made from verify/baselines/.

python -m verify.campaigns.tables          writes it
python -m verify.campaigns.tables --check  ends with 1 where it says something else
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, parse_card
from verify import command
from verify.campaigns.pages import bring_up_to_date, page_parser, table
from verify.vram.report import gib

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "measured.md"
_PROGRAM = "verify.campaigns.tables"
BASELINES = ROOT / "verify" / "baselines"
# {prompts}, {clips} and {lengths} are tables, each with its line end.
_PAGE = """\
# What it takes of a card

<!-- Made by `python -m verify.campaigns.tables` from verify/baselines/: change those. -->

Measured with random weights of the true size, on the GPU that stands below each table, held to the
budget named beside it: torch's allocator is capped, and every choice by compute capability is made
as on an RTX 3090. A run fits 24 GB where torch's reserved peak and half a GiB for the CUDA context
stay within 23.6 GiB. Until a card of 24 GB reports, this is an estimate for one; the seconds are
those of the GPU that measured. [memory.md](memory.md) tells how to measure your own.

## Prompts

{prompts}
## Clips

Two guided steps, where it does not say all steps: that is enough for the peak.

{clips}
Where a row is out of memory, take a smaller size or fewer frames, or on 1.2.0 let the transformer's
blocks pass through the card (`--offload cpu`); the seconds there are those until it ran out.

## The longest clip

Found by `python -m verify.vram PIPELINE --budget 24GB --search frames -- ARGUMENTS`.

{lengths}"""

Baseline = dict[str, Any]


def prompts(baselines: Sequence[Baseline]) -> str:
    """What encoding prompts takes, a row a way to load Gemma and a base; a table a machine."""
    head = ("Gemma 3 12B", "encoding", "base", "s to load", "VRAM, GiB", "host, GiB")
    return _tables(baselines, lambda _: head, _prompt_rows)


def clips(baselines: Sequence[Baseline]) -> str:
    """What a clip takes at most, and in which stage; a table a machine."""

    def head(budget_gib: float) -> tuple[str, ...]:
        usable = parse_card(f"{budget_gib}GB").usable_bytes / GIB
        most = (f"GiB of {usable:.1f}", "most in", "s")
        return ("model", "pipeline", "size, frames", "flags", "base", *most)

    return _tables(baselines, head, _clip_rows)


def _tables(
    baselines: Sequence[Baseline],
    head: Callable[[float], Sequence[str]],
    rows: Callable[[Sequence[Baseline]], Sequence[Sequence[str]]],
) -> str:
    tables = []
    for machine, budget_gib in sorted({(one["machine"], one["budget_gib"]) for one in baselines}):
        here = [b for b in baselines if (b["machine"], b["budget_gib"]) == (machine, budget_gib)]
        if lines := rows(here):
            dates = ", ".join(sorted({one["date"] for one in here}))
            tables.append(f"{table(head(budget_gib), lines)}\nOn: {machine}, {dates}.\n")
    return "\n".join(tables)


def _prompt_rows(baselines: Sequence[Baseline]) -> Sequence[Sequence[str]]:
    rows = [
        (
            run["name"].split(", ", 1)[1],
            run["name"].split(",")[0],
            baseline["base"],
            f"{_stage(run, 'text encoding')['load_s']:.1f}",
            _outcome(run, gib(_stage(run, "text encoding")["peak_allocated_bytes"])),
            gib(_stage(run, "text encoding")["host_anon_bytes"]),
        )
        for baseline in baselines
        for run in baseline["runs"]
        if " prompt" in run["name"]
    ]
    return sorted(rows, key=lambda row: (row[1], row[2]))


def _clip_rows(baselines: Sequence[Baseline]) -> Sequence[Sequence[str]]:
    rows = []
    for baseline in baselines:
        for run in baseline["runs"]:
            if " prompt" in run["name"]:
                continue
            peaks = {
                s["name"]: (s["peak_reserved_bytes"] or 0) + CONTEXT_BYTES for s in run["stages"]
            }
            worst = max(peaks, key=lambda name: peaks[name])
            seconds = sum(s["load_s"] + s["compute_s"] for s in run["stages"])
            rows.append(
                (
                    baseline["model"],
                    f"`{run['pipeline']}`{', all steps' if _is_whole(run) else ''}",
                    f"{run['size']}, {run['frames']}",
                    f"`{run['flags']}`",
                    baseline["base"],
                    _outcome(run, f"{peaks[worst] / GIB:.1f}"),
                    worst,
                    f"{seconds:.0f}",
                )
            )
    return rows


def lengths(baselines: Sequence[Baseline]) -> str:
    """The longest clip that fits."""
    rows = [
        (
            baseline["model"],
            f"`{longest['pipeline']}`",
            longest["size"],
            baseline["base"],
            f"{longest['frames']} ({longest['frames'] / 25:.1f} s at 25 fps)"
            if longest["frames"]
            else "none",
        )
        for baseline in baselines
        if "frames" in (longest := baseline.get("longest", {}))  # else the search was cut off
    ]
    if not rows:
        return "No baseline of the series as it is holds one yet.\n"
    return table(("model", "pipeline", "size", "base", "most frames"), rows)


def page(baselines: Sequence[Baseline]) -> str:
    """The whole of docs/measured.md."""
    return _PAGE.format(
        prompts=prompts(baselines), clips=clips(baselines), lengths=lengths(baselines)
    )


def read_all(folder: Path = BASELINES) -> list[Baseline]:
    """The committed baselines of VRAM, by name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("vram-*.json"))]


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    return page_parser(_PROGRAM, PAGE)


def run(args: argparse.Namespace) -> int:
    """0 where docs/measured.md says what the baselines say, or does so now."""
    return bring_up_to_date(PAGE, page(read_all()), _PROGRAM, check=args.check)


def _stage(run: dict[str, Any], name: str) -> dict[str, Any]:
    stage: dict[str, Any] = next(stage for stage in run["stages"] if stage["name"] == name)
    return stage


def _is_whole(run: dict[str, Any]) -> bool:
    """Whether a guided stage took all its steps."""
    return run["pipeline"] != "distilled" and str(run["name"]).startswith("whole clip")


def _outcome(run: dict[str, Any], value: str) -> str:
    return "out of memory" if run["out_of_memory"] else value


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
