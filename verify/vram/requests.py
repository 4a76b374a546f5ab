"""What is asked of a measurement, checked before anything is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.baselines import BASELINES, read_baselines
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.script import script_in
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.target import Budget
from ltx2_patcher.rules.models.card import GIB, Card, parse_card
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.rules.models.workload import Workload, workload_of
from ltx2_patcher.values.errors import UsageError
from verify.upstream.provenance import base_of, provenance_of
from verify.upstream.tree import ROOT
from verify.vram.runner import Task

_DEFAULT_TREE = ROOT / "vendor" / "LTX-2-1.0.0"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be run; `about` is where and with what, for the report."""

    task: Task
    workload: Workload
    model: str | None  # "LTX-2.3 22B"; None where the command line names none
    about: Mapping[str, object]
    vram_budget_gib: float | None = None  # of parked weights, where it is a number

    def of_length(self, frames: int) -> Prepared:
        """The same for a clip of so many frames."""
        argv = (*self.task.argv, "--num-frames", str(frames))  # the last of two options counts
        workload = replace(self.workload, frames=frames)
        return replace(self, task=replace(self.task, argv=argv), workload=workload)


def prepared(
    tree: Path | None,
    name: str,
    argv: Sequence[str],
    budget: str | None,
    until: str | None,
    *,
    may_exceed: bool = False,
    python: Path = Path(sys.executable),
) -> Prepared:
    """A measurement of what the command line asks for, which the gate admitted; with `may_exceed`,
    as in a search, more may be asked than the card holds.

    Raises: as the gate, and UsageError for a budget or a length that can't be told.
    """
    tree = (tree or _DEFAULT_TREE).absolute()
    store = Store(ROOT)
    card = parse_card(budget) if budget else None
    gpu = machine.gpu(None)
    script = script_in(
        store,
        tree,
        name,
        base=base_of(tree) or tree.name,
        python=python,
        gpus=(gpu,) if gpu else (),
        budget=Budget(card, gpu, read_baselines(store.root / BASELINES), may_exceed)
        if card
        else None,
    )
    pipeline = script.target.pipeline
    request = parse_argv(pipeline, argv)
    checkpoint = admit(request, script.target).checkpoint
    task = Task(
        tree,
        pipeline.name,
        render_argv(pipeline, request),
        card,
        gpu,
        _stands_in(gpu, card),
        until,
    )
    model = None if checkpoint is None else checkpoint.variant
    workload = workload_of(pipeline, request)
    parked = request.vram_budget
    if parked is not None:
        flags = (*workload.flags, f"--vram-budget {parked}")
        workload = replace(workload, flags=tuple(sorted(flags)))
    budget_gib = None if parked == "auto" else parked
    return Prepared(task, workload, model, about_of(tree, gpu, card), budget_gib)


def require_place(path: Path | None) -> None:
    """Return if a file can be written at `path`. Raises: UsageError."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy="name a file in it")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"{path.absolute().parent} is no folder that you can write to",
            remedy="make it, or name another place",
        )


def require_card(ready: Prepared) -> Card:
    """The budget that a search needs. Raises: UsageError without one."""
    if ready.task.card is None:
        raise UsageError("--search needs a budget", remedy="give --budget 24GB")
    return ready.task.card


def about_of(tree: Path, gpu: Gpu | None, card: Card | None) -> dict[str, object]:
    """Where and with what a checkout is measured."""
    held_to = f"{card.nominal_bytes / GIB:g} GB" if card and _stands_in(gpu, card) else None
    return provenance_of(tree, gpu, held_to=held_to)


def _stands_in(gpu: Gpu | None, card: Card | None) -> bool:
    return gpu is not None and card is not None and card.is_smaller_than(gpu.total_bytes)
