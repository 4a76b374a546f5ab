"""One run of a script in a child of its own, watched from outside until it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.rules.models.card import Card
from ltx2_patcher.values.errors import OutsideError
from verify.upstream.tree import script_environment
from verify.vram.child_task import ChildTask, task_text
from verify.vram.events import Failure, Held, Parked, Turn, parse_events
from verify.vram.host_memory import Sample, sample_of
from verify.vram.stages import DeviceUse, Stage, Stretch, stages, stretches
from verify.vram.watch import Device

WATCH_EVERY_S = 0.01
_KEPT_LINES = 12


@dataclass(frozen=True, slots=True)
class Task:
    """What to run and measure; `gpu` is None where there is no GPU.

    With `stands_in` every choice by compute capability is made as on an RTX 3090.
    """

    tree: Path
    script: str
    argv: tuple[str, ...]
    card: Card | None
    gpu: Gpu | None
    stands_in: bool = False
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended, well or not."""

    code: int
    wall_s: float
    begin_s: float  # CLOCK_MONOTONIC, as all times within
    stages: tuple[Stage, ...]
    stretches: tuple[Stretch, ...]
    held: tuple[Held, ...]
    parked: tuple[Parked, ...]  # none where weights are not parked
    host: tuple[Sample, ...]
    device: tuple[DeviceUse, ...]
    failure: Failure | None
    last_words: str  # of all that it printed

    @property
    def out_of_memory(self) -> bool:
        """Whether the card had too little for it."""
        return self.failure is not None and self.failure.out_of_memory


def measure(task: Task, *, on_turn: Callable[[Turn], None] = lambda _: None) -> Run:
    """Run to the end; `on_turn` is called with each turn as it comes. No child outlives this.

    Raises: OutsideError (the child can't be started, or the driver does not answer).
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        events, err = folder / "events", stack.enter_context((folder / "err").open("w+b"))
        device = None if task.gpu is None else stack.enter_context(Device(task.gpu.index))
        begin = time.monotonic()
        process = _start(task, events, err)
        host: list[Sample] = []
        used: list[DeviceUse] = []
        try:
            told_of = 0
            while process.poll() is None:
                if (sample := sample_of(process.pid)) is not None:
                    host.append(sample)
                if device is not None:
                    used.append(device.used())
                told_of = _tell(events, told_of, on_turn)
                time.sleep(WATCH_EVERY_S)
        finally:
            process.kill()
            process.wait()
        wall_s = time.monotonic() - begin
        seen = parse_events(_lines(events))
        ended = _ended(seen.turns)
        err.seek(0)
        printed = err.read().decode("utf-8", "replace").splitlines()[-_KEPT_LINES:]
    parts = stretches(ended)
    return Run(
        code=process.returncode,
        wall_s=wall_s,
        begin_s=begin,
        stages=stages(parts, host, used, task.card),
        stretches=parts,
        held=seen.held,
        parked=seen.parked,
        host=tuple(host),
        device=tuple(used),
        failure=seen.failure,
        last_words="\n".join(printed),
    )


def _start(task: Task, events: Path, err: IO[bytes]) -> subprocess.Popen[bytes]:
    child_task = ChildTask(
        module=f"ltx_pipelines.{task.script}",
        argv=task.argv,
        events=str(events),
        allocator_bytes=task.card.allocator_bytes if task.card else None,
        ampere=task.stands_in,
        parent=os.getpid(),
        until=task.until,
    )
    env = script_environment(task.tree, task.gpu)
    argv = [sys.executable, "-m", "verify.vram.child", task_text(child_task)]
    try:
        return subprocess.Popen(argv, env=env, stdout=err, stderr=err, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise OutsideError(
            f"{sys.executable} could not be started: {error.strerror}",
            remedy="run it again, with fewer programs beside it",
        ) from error


def _ended(turns: Sequence[Turn]) -> Sequence[Turn]:
    """With the end that a killed child could not write: its last stage is the one to blame."""
    if not turns or turns[-1].component is None:
        return turns
    return (*turns, Turn(time.monotonic(), None, "compute", None))


def _tell(events: Path, told_of: int, on_turn: Callable[[Turn], None]) -> int:
    """Tell of the turns since the first `told_of` bytes; how many bytes have been told of now."""
    try:
        with events.open("rb") as file:
            file.seek(told_of)
            new = file.read()
    except FileNotFoundError:
        return told_of
    whole = new[: new.rfind(b"\n") + 1]
    for turn in parse_events(whole.decode().splitlines(keepends=True)).turns:
        on_turn(turn)
    return told_of + len(whole)


def _lines(events: Path) -> Sequence[str]:
    return events.read_text("utf-8").splitlines(keepends=True) if events.exists() else ()
