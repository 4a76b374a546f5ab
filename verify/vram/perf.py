"""Seconds of each stage of a pipeline, against those that were measured before on the same GPU.

    python -m verify.vram.perf distilled --record -- ARGUMENTS OF THE PIPELINE
    python -m verify.vram.perf distilled --compare -- ARGUMENTS

A stage counts as slower where its median is later than the baseline's by more than the baseline's
own runs lay apart. Seconds of one GPU say nothing of another, so a baseline is of one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from ltx2_patcher.boundaries import disk
from ltx2_patcher.values.errors import InvalidError, OutsideError, UsageError
from verify import command
from verify.upstream.provenance import code_of
from verify.vram.ending import failed
from verify.vram.requests import Prepared, prepared
from verify.vram.runner import Run, measure

BASELINE = Path(__file__).parents[1] / "baselines" / "perf.json"
RUNS, _FEWEST_RUNS = 5, 2
_CLOCK_S = 0.05
"""Less than this between two medians is the clock and the scheduler."""

Seconds = Mapping[str, Sequence[float]]
"""The seconds of each stage, loading and computing together, of each run."""


@dataclass(frozen=True, slots=True)
class Change:
    """One stage, before and now, in seconds; `noise_s` is how far the baseline's runs lay apart."""

    stage: str
    before_s: float
    now_s: float
    noise_s: float

    @property
    def slower(self) -> bool:
        """Whether it is by more than noise."""
        return self.now_s - self.before_s > self.noise_s

    @property
    def text(self) -> str:
        """One line with all numbers."""
        outcome = "SLOWER" if self.slower else "as before"
        numbers = f"{self.before_s:8.2f}{self.now_s:8.2f} s  noise {self.noise_s:.2f}"
        return f"{self.stage:<20}{numbers}  {outcome}"


def changes(before: Seconds, now: Seconds) -> tuple[Change, ...]:
    """Each stage that both have.

    Raises: InvalidError where they have different stages: then they are no runs of one request.
    """
    if before.keys() != now.keys():
        raise InvalidError(
            f"the baseline has the stages {', '.join(before)}, these runs {', '.join(now)}",
            remedy="record the baseline anew with --record",
        )
    return tuple(
        Change(
            stage,
            median(before[stage]),
            median(now[stage]),
            max(max(before[stage]) - min(before[stage]), _CLOCK_S),
        )
        for stage in before
    )


def run(args: argparse.Namespace) -> int:
    """0 where nothing is slower, 1 where something is."""
    if args.runs < _FEWEST_RUNS:
        raise UsageError(
            "one run tells nothing of noise", remedy=f"give --runs {_FEWEST_RUNS} or more"
        )
    ready = prepared(args.tree, args.pipeline, args.passed_on, args.budget, None)
    if ready.task.gpu is None:
        raise OutsideError(
            "there is no GPU here, and seconds hold only on one",
            remedy="use `make bench`, which compares within one run",
        )
    if args.record:
        record(ready, args.runs)
        return 0
    return _compare(ready, args.runs)


def seconds_of(runs: Sequence[Run]) -> dict[str, list[float]]:
    """By stage, in the order of the first run."""
    return {
        stage.name: [
            round(s.load_s + s.compute_s, 3)
            for run in runs
            for s in run.stages
            if s.name == stage.name
        ]
        for stage in runs[0].stages
    }


def _measured(ready: Prepared, count: int) -> dict[str, list[float]]:
    """The seconds of `count` runs, after one that fills the page cache and the kernels' caches."""
    runs = []
    for at in range(count + 1):
        timed = measure(ready.task)
        if timed.failure or timed.code:
            raise failed(timed)
        print(f"  run {at or 'to warm up'}: {timed.wall_s:.1f} s", file=sys.stderr, flush=True)
        runs.append(timed)
    return seconds_of(runs[1:])


def record(ready: Prepared, count: int) -> None:
    """The baseline holds the seconds of `count` runs of the request, in place of older ones.

    Raises: InvalidError (a run fails, or the file is damaged); as `code_of`.
    """
    asked = _asked(ready)
    code = code_of(asked["base"], "perf")
    entries = [entry for entry in _entries() if not is_of(entry, asked)]
    seconds = _measured(ready, count)
    entries.append({**ready.about, "code": code, **asked, "seconds": seconds})
    text = ",\n".join(json.dumps(entry) for entry in entries)
    disk.replace(BASELINE, f"[\n{text}\n]\n".encode())
    for stage, all_s in seconds.items():
        print(f"{stage:<20}{median(all_s):8.2f} s")


def _compare(ready: Prepared, count: int) -> int:
    asked = _asked(ready)
    before = next((entry for entry in _entries() if is_of(entry, asked)), None)
    if before is None:
        raise UsageError(
            f"no baseline is of {asked['machine']} and this request",
            remedy="record one with --record",
        )
    compared = changes(before["seconds"], _measured(ready, count))
    for change in compared:
        print(change.text)
    return int(any(change.slower for change in compared))


def _asked(ready: Prepared) -> dict[str, Any]:
    workload = ready.workload
    return {
        "machine": ready.about["machine"],
        "base": ready.about["base"],
        "model": ready.model,
        "pipeline": workload.pipeline,
        "size": workload.size,
        "frames": workload.frames,
        "steps": workload.steps,
        "images": workload.images,
        "flags": " ".join(workload.flags),
    }


def is_of(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a baseline's entry is of that request, in every word of it."""
    return all(entry[key] == value for key, value in asked.items())


def _entries() -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(BASELINE.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InvalidError(
            f"{BASELINE} can't be read: {error}", remedy="`git checkout -- verify/baselines`"
        ) from error
    return entries


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.vram.perf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(passed_on=())
    parser.add_argument("pipeline")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", action="store_true", help="write verify/baselines/perf.json")
    what.add_argument("--compare", action="store_true", help="against what it holds")
    parser.add_argument(
        "--tree", type=Path, help="a patched checkout (default: vendor/LTX-2-1.0.0)"
    )
    parser.add_argument("--budget", metavar="24GB", help="hold the runs to a card of that size")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"default: {RUNS}")
    return parser


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
