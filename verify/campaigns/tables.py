"""The README's tables of what was measured, made from verify/baselines/.

python -m verify.campaigns.tables          writes them between their marks in README.md
python -m verify.campaigns.tables --check  ends with 1 where README.md has others
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, parse_card
from ltx2_patcher.values.errors import InvalidError
from verify import command
from verify.vram.report import gib

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BASELINES = ROOT / "verify" / "baselines"
_MARK = "<!-- {0}: python -m verify.campaigns.tables -->\n{1}<!-- end of {0} -->"

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
    found = []
    for machine, budget_gib in sorted({(one["machine"], one["budget_gib"]) for one in baselines}):
        here = [b for b in baselines if (b["machine"], b["budget_gib"]) == (machine, budget_gib)]
        if lines := rows(here):
            dates = ", ".join(sorted({one["date"] for one in here}))
            found.append(f"{_table(head(budget_gib), lines)}\nOn: {machine}, {dates}.\n")
    return "\n".join(found)


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
            f"`{found['pipeline']}`",
            found["size"],
            baseline["base"],
            f"{found['frames']} ({found['frames'] / 25:.1f} s at 25 fps)"
            if found["frames"]
            else "none",
        )
        for baseline in baselines
        if "frames" in (found := baseline.get("longest", {}))  # else the search was cut off
    ]
    if not rows:
        return "No baseline of the series as it is holds one yet.\n"
    return _table(("model", "pipeline", "size", "base", "most frames"), rows)


TABLES: dict[str, Callable[[Sequence[Baseline]], str]] = {
    "prompts": prompts,
    "clips": clips,
    "lengths": lengths,
}


def written(text: str, baselines: Sequence[Baseline]) -> str:
    """`text` with each table between its marks. Raises: InvalidError (a mark is gone)."""
    for name, make in TABLES.items():
        pattern = re.compile(
            f"<!-- {name}: python -m verify.campaigns.tables -->\n.*?<!-- end of {name} -->",
            re.DOTALL,
        )
        if not pattern.search(text):
            raise InvalidError(
                f"README.md has no place for the table {name}",
                remedy="put back its two marks, as `git show HEAD:README.md` has them",
            )
        # Split, not substituted: what is put in may hold backslashes.
        before, after = pattern.split(text, maxsplit=1)
        text = before + _MARK.format(name, make(baselines)) + after
    return text


def read_all(folder: Path = BASELINES) -> list[Baseline]:
    """The committed baselines of VRAM, by name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("vram-*.json"))]


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.tables",
        description="Write the README's tables of what was measured.",
    )
    parser.add_argument("--check", action="store_true", help="only say whether README.md has them")
    return parser


def run(args: argparse.Namespace) -> int:
    """0 where README.md has the tables of the baselines, or has them now."""
    old = README.read_text("utf-8")
    new = written(old, read_all())
    if args.check:
        if new != old:
            print(
                "README.md is not what the baselines say: run `python -m verify.campaigns.tables`"
            )
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


def _stage(run: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(stage for stage in run["stages"] if stage["name"] == name)
    return found


def _is_whole(run: dict[str, Any]) -> bool:
    """Whether a guided stage took all its steps."""
    return run["pipeline"] != "distilled" and str(run["name"]).startswith("whole clip")


def _outcome(run: dict[str, Any], value: str) -> str:
    return "out of memory" if run["out_of_memory"] else value


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
