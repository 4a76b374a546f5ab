"""A batch as people see it: what was judged, each clip as it is made, and what came of all."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import join
from typing import TYPE_CHECKING

from ltx2_patcher.boundaries.child import Begun, Model, Step
from ltx2_patcher.cli.progress import Line, clip_progress
from ltx2_patcher.cli.report import show
from ltx2_patcher.jobs.launch.batch import (
    Batch,
    Cancelling,
    Clip,
    Lost,
    Made,
    Outcome,
    Told,
    plan_batch,
    render_batch,
)
from ltx2_patcher.rules.models.batch import numbers_in_words, time_in_words, time_left_s
from ltx2_patcher.rules.shown import cut
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.errors import INTERRUPTED

if TYPE_CHECKING:
    from argparse import Namespace

    from ltx2_patcher.jobs.launch.script import Script

_STAGES = {"samplers": "step", "media_io": "writing"}
"""What upstream's progress bars stand in -> what they count."""
_MOST_WARNINGS = 20


def run_batch(args: Namespace, script: Script, base: str) -> int:
    """Judge the batch, render it and tell how it went; the exit code."""
    batch = plan_batch(script, base, args.passed_on, args.batch, resume=args.resume)
    _warn(batch)
    if args.dry_run:
        commands = {clip.number: script.started_with(clip.argv, {}).argv for clip in batch.clips}
        listed = [{"line": number, "argv": argv} for number, argv in commands.items()]
        show(args, listed, map(join, commands.values()))
        return 0
    stop = _Stop()
    with clip_progress(say=None if args.json else print) as line, stop.heard():
        shown = _Shown(batch, line)
        outcome = render_batch(batch, os.environ, shown, lambda: stop.asked)
    _report(args, batch, outcome, stopped=stop.asked > 0)
    if stop.asked:
        return stop.code
    return 1 if outcome.lost or outcome.broken else 0


def _warn(batch: Batch) -> None:
    if batch.parks and batch.clips:
        print("weights stay in host memory: --vram-budget auto is given to each", file=sys.stderr)
    elif batch.holds_too_little:
        print(
            f"each clip loads its weights anew: {batch.holds_too_little}",
            file=sys.stderr,
        )
    told: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for clip in batch.clips:
        for warning in clip.warnings:
            told[warning.fact, warning.remedy].append(clip.number)
    for (fact, remedy), numbers in list(told.items())[:_MOST_WARNINGS]:
        print(f"warning: {numbers_in_words(numbers)}: {fact}\n  to do: {remedy}", file=sys.stderr)
    if len(told) > _MOST_WARNINGS:
        print(f"and {len(told) - _MOST_WARNINGS} more warnings", file=sys.stderr)


def _report(args: Namespace, batch: Batch, outcome: Outcome, *, stopped: bool) -> None:
    parts = [f"{outcome.made} made", f"{len(outcome.lost)} failed"]
    parts += [f"{batch.passed_by} passed by"] if batch.passed_by else []
    parts += [f"{outcome.left} left"] if outcome.left else []
    lines = [", ".join(parts)]
    if batch.clips:
        lines[0] += f"; what the scripts said is in {batch.records.log}"
    if outcome.lost:
        lines.append(f"failed: {numbers_in_words(outcome.lost)}")
    result = {
        "made": outcome.made,
        "failed": outcome.lost,
        "passed_by": batch.passed_by,
        "left": outcome.left,
        "log": batch.records.log,
    }
    show(args, result, lines)
    if outcome.broken is not None:
        print(f"ltx2-patcher: {outcome.broken}\n  to do: {outcome.broken.remedy}", file=sys.stderr)
    if outcome.left or outcome.lost:
        what = "interrupted; " if stopped else ""
        print(
            f"ltx2-patcher: {what}the same command with --resume makes what is missing",
            file=sys.stderr,
        )


class _Stop:
    """How often somebody asked to stop; a signal that ends a process asks twice at once."""

    def __init__(self) -> None:
        self.asked = 0
        self.code = INTERRUPTED

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Signals are taken for wishes; one that was ignored at our start stays ignored."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        taken = [number for number, how in before.items() if how is not signal.SIG_IGN]
        for number in taken:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _hear(self, number: int, _frame: object) -> None:
        self.asked += 1 if number == signal.SIGINT else 2
        self.code = 128 + number


class _Shown:
    """Tells of each clip: on a terminal all the time, else once it has ended."""

    def __init__(self, batch: Batch, line: Line) -> None:
        self._total, self._line = len(batch.clips), line
        self._finished_s: list[float] = []
        self._ended = 0
        self._began_s = time.monotonic()
        self._stage, self._series = "", 0

    def __call__(self, clip: Clip, told: Told) -> None:
        match told:
            case Made():
                peak = f", {in_words(told.peak_bytes)}" if told.peak_bytes else ""
                self._finished_s.append(told.seconds)
                self._end(clip, f"{clip.place}, {told.seconds:.1f} s{peak}")
                return
            case Lost():
                self._end(clip, f"failed: {cut(told.why, 500)}")
                return
            case Cancelling():
                self._stage = "being cancelled; Ctrl-C again ends it at once"
            case Begun():
                self._began_s, self._stage, self._series = time.monotonic(), "", 0
            case Model():
                self._stage = told.name
            case Step():
                if told.of == "samplers" and told.done == 1:
                    self._series += 1
                stage = f"stage {self._series}, " if told.of == "samplers" else ""
                of = f" of {told.total}" if told.total else ""
                self._stage = f"{stage}{_STAGES.get(told.of, told.of)} {told.done}{of}"
        self._line.show(
            self._ended,
            self._total,
            f"line {clip.number}, {self._ended + 1} of {self._total}",
            cut(" ".join((clip.request.prompt or "").split()), 30),
            self._stage,
            self._left,
        )

    def _end(self, clip: Clip, what: str) -> None:
        self._ended += 1
        self._began_s = time.monotonic()
        left = self._left()
        self._line.say(
            f"line {clip.number}, {self._ended} of {self._total}: {what}"
            + (f"; {left}" if self._ended < self._total and left else "")
        )

    def _left(self) -> str:
        left = self._total - self._ended
        found = time_left_s(self._finished_s, left, time.monotonic() - self._began_s)
        return "" if found is None else f"about {time_in_words(found)} left"
