"""What a patched pipeline takes of a card, stage by stage.

    python -m verify.vram distilled --budget 24GB -- ARGUMENTS OF THE PIPELINE
    python -m verify.vram distilled --budget 24GB --search frames -- ARGUMENTS

Without a GPU it measures seconds and host memory alone, and says so.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.values.errors import UsageError
from verify import command
from verify.vram import requests
from verify.vram.ending import try_of
from verify.vram.events import Turn
from verify.vram.measurement import measured
from verify.vram.plot import require_plots, write_plot
from verify.vram.report import report_text, table
from verify.vram.requests import Prepared, prepared
from verify.vram.runner import measure
from verify.vram.search import MOST_FRAMES, Try, longest
from verify.vram.stages import STAGE_OF

FIRST_FRAMES = 121
"""Where a search begins: 5 s at 25 frames a second."""


def run(args: argparse.Namespace) -> int:
    """0 where the run ended well within its limits, 1 where not."""
    if args.plot:
        require_plots()
    argv = args.passed_on
    if args.search:
        argv = (*argv, "--num-frames", str(FIRST_FRAMES))
    ready = prepared(
        args.tree, args.pipeline, argv, args.budget, args.until, may_exceed=bool(args.search)
    )
    for path in (args.json, args.plot):
        requests.require_place(path)
        if path and args.search:
            raise UsageError("a search writes no report", remedy="leave --json and --plot out")
    if args.search:
        return _search(ready)
    return _measure(ready, args.json, args.plot)


def _measure(ready: Prepared, json_out: Path | None, plot_out: Path | None) -> int:
    measurement = measured(ready, on_turn=_tell)
    run, verdict = measurement.run, measurement.verdict
    print(table(run.stages))
    if ready.task.gpu is None:
        print("no GPU here: seconds and host memory were measured, VRAM was not")
    if run.failure or run.code:
        print(run.last_words, file=sys.stderr)
    print(("within: " if verdict.passed else "NOT WITHIN: ") + verdict.text)
    if json_out is not None:
        disk.replace(json_out, report_text(measurement.report()).encode())
    if plot_out is not None:
        write_plot(measurement.report(), plot_out)
    return 0 if verdict.passed else 1


def _search(ready: Prepared) -> int:
    card = requests.require_card(ready)

    def tried(frames: int) -> Try:
        outcome = try_of(frames, measure(ready.of_length(frames).task), card)
        left = outcome.left_bytes
        sentence = "out of memory" if left is None else f"{left / GIB:.2f} GiB left"
        print(f"  {frames:>5} frames: {sentence}", flush=True)
        return outcome

    found = longest(tried, first=FIRST_FRAMES, most=MOST_FRAMES)
    if found.frames is None:
        print(f"no length of {ready.workload.size} fits {card.name}: give a smaller size")
        return 1
    end = ", where the search ends" if found.frames == MOST_FRAMES else ""
    print(
        f"{found.frames} frames of {ready.workload.size} are the longest that fit {card.name}{end}"
    )
    return 0


def _tell(turn: Turn) -> None:
    if turn.component is not None:
        what = STAGE_OF.get(turn.component, "denoising")
        print(f"  {what}, {turn.doing}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.vram",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(passed_on=())
    parser.add_argument("pipeline", help="distilled, ti2vid_two_stages, ...")
    parser.add_argument(
        "--tree", type=Path, help="a patched checkout (default: vendor/LTX-2-1.0.0)"
    )
    parser.add_argument("--budget", metavar="24GB", help="hold the run to a card of that size")
    parser.add_argument("--until", choices=sorted(STAGE_OF.values()), help="end with that stage")
    parser.add_argument("--json", type=Path, help="write the report there")
    parser.add_argument("--plot", type=Path, help="draw the timeline there, as a PNG")
    parser.add_argument(
        "--search", choices=["frames"], help="find the longest clip that fits the budget"
    )
    return parser


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
