"""What is asked of a measurement, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.jobs.inspect import inspect_checkpoint
from ltx2_patcher.rules.budget import savings_of, transformer_needs
from ltx2_patcher.rules.pipelines import parse_pipelines, pick
from ltx2_patcher.rules.request import parse_request
from ltx2_patcher.values.errors import InvalidError, OutsideError, PatcherError, UsageError
from ltx2_patcher.values.weights import Checkpoint
from verify.pipelines import OURS, core_of
from verify.provenance import base_of, provenance_of
from verify.vram.asked import Asked, parse_asked
from verify.vram.baselines import of_base, read_baselines
from verify.vram.card import GIB, Card, parse_card
from verify.vram.forecast import refuse_what_can_not_fit
from verify.vram.runner import Run, Task

_DEFAULT_TREE = OURS / "vendor" / "LTX-2-1.0.0"
_FULL_SIZE_ELEMENTS = 10**10
"""The models that were measured have 19 billion; what is smaller is a test's."""
_OTHERS_BYTES = GIB // 4
"""What a desktop may hold of a card without being told to leave it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be run; `about` is where and with what, for the report."""

    task: Task
    asked: Asked
    about: Mapping[str, object]

    def with_argv(self, argv: Sequence[str]) -> Prepared:
        """The same for another command line."""
        asked = parse_asked(self.asked.pipeline, argv)
        return replace(self, task=replace(self.task, argv=tuple(argv)), asked=asked)


def prepared(
    tree: Path | None,
    name: str,
    argv: Sequence[str],
    budget: str | None,
    until: str | None,
    *,
    searching: bool = False,
) -> Prepared:
    """Everything that can be told before a model is loaded holds; a search may ask for too much.

    Raises: UsageError (words, numbers, a request that the card can't hold), InvalidError (a
    checkpoint that is not one), OutsideError (no GPU for a budget, or others' processes on it).
    """
    tree = (tree or _DEFAULT_TREE).absolute()
    scripts = core_of(tree).parents[2] / "ltx-pipelines" / "src" / "ltx_pipelines"
    if not scripts.is_dir():
        raise UsageError(
            f"{tree} is no checkout of upstream", remedy="run `make patch`, or name one with --tree"
        )
    sources = {path.stem: path.read_bytes() for path in scripts.glob("*.py")}
    pipeline = pick(parse_pipelines(sources, (scripts / "utils/args.py").read_bytes()), name)
    request = parse_request(pipeline, argv)
    transformer = request.transformer
    checkpoint = None if transformer is None else inspect_checkpoint(Path(transformer))
    asked = parse_asked(pipeline.name, argv)
    card = parse_card(budget) if budget else None
    gpu = gpu_of()
    if card is not None:
        _require_room(gpu, card)
        if checkpoint is not None and not searching:
            _require_fit(asked, checkpoint, card, pipeline.options, base_of(tree))
    held_to = f"{card.nominal_bytes / GIB:g} GB" if card else None
    about = provenance_of(tree, gpu, measured_files([pipeline.name]), held_to=held_to)
    index = None if gpu is None else gpu.index
    return Prepared(Task(tree, pipeline.name, tuple(argv), card, index, until), asked, about)


def require_place(path: Path | None) -> None:
    """Return if a file can be written at `path`. Raises: UsageError."""
    if path is not None and not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"{path.absolute().parent} is no folder that you can write to",
            remedy="make it, or name another place",
        )


def require_card(ready: Prepared) -> Card:
    """The budget that a search needs. Raises: UsageError without one."""
    if ready.task.card is None:
        raise UsageError("--search needs a budget", remedy="give --budget 24GB")
    return ready.task.card


def failure_of(run: Run) -> str | None:
    """What ended the run before its time, with its remedy; None where it ended well."""
    if run.failure is None and run.code == 0:
        return None
    stage = run.stretches[-1].stage if run.stretches else "starting"
    if run.failure and run.failure.out_of_memory:
        peak = max((h.reserved_bytes for h in run.held), default=0)
        return (
            f"out of memory in {stage}, with {peak / GIB:.1f} GiB reserved; "
            f"{_REMEDY_OF.get(stage, 'give fewer frames or a smaller size')}"
        )
    if run.code < 0:
        signal = f"signal {-run.code}"
        return f"the script was killed by {signal} in {stage}; see that the host has memory left"
    return f"the script ended with {run.code} in {stage}: {_said(run)}"


def failed(run: Run) -> PatcherError:
    """A run that ended neither well nor for lack of memory."""
    return InvalidError(
        f"the script ended with {run.code}: {_said(run)}",
        remedy="see what it says with `python -m verify.vram`, without --search",
    )


def _said(run: Run) -> str:
    return run.failure.text if run.failure else (run.last_words.splitlines() or ["nothing"])[-1]


def measured_files(scripts: Iterable[str]) -> list[str]:
    """What of the patched tree a measurement of these scripts runs, as files and folders."""
    folder = "packages/ltx-pipelines/src/ltx_pipelines"
    return [
        "packages/ltx-core/src/ltx_core",
        f"{folder}/utils",
        *(f"{folder}/{s}.py" for s in scripts),
    ]


def gpu_of() -> Gpu | None:
    """The GPU that CUDA sees first; None without one."""
    found = machine.gpus()
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    first = shown.split(",")[0].strip()
    wanted = int(first) if first.isdecimal() else 0
    return next((gpu for gpu in found if gpu.index == wanted), None)


def _require_room(gpu: Gpu | None, card: Card) -> None:
    if gpu is None:
        raise OutsideError(
            "there is no GPU that a budget could be held on",
            remedy="leave --budget out to measure seconds and host memory alone",
        )
    if gpu.total_bytes < card.usable_bytes:
        raise OutsideError(
            f"{gpu.name} has {gpu.total_bytes / GIB:.1f} GiB, less than a card of {card.name}",
            remedy=f"give --budget {int(gpu.total_bytes / GIB + 0.5)}GB",
        )
    held = gpu.total_bytes - gpu.free_bytes
    if held > _OTHERS_BYTES and gpu.free_bytes < card.usable_bytes:
        raise OutsideError(
            f"other processes hold {held / GIB:.1f} GiB of {gpu.name}, and the "
            f"{gpu.free_bytes / GIB:.1f} GiB left are less than a card of {card.name}",
            remedy="end them (`nvidia-smi` lists them), or give a smaller --budget",
        )


def _require_fit(
    asked: Asked, checkpoint: Checkpoint, card: Card, options: frozenset[str], base: str | None
) -> None:
    """Told by what was measured, for a model of that size; else by what the headers say."""
    if checkpoint.elements_of("transformer") >= _FULL_SIZE_ELEMENTS:
        refuse_what_can_not_fit(asked, card, of_base(read_baselines(), base))
    for need in transformer_needs(checkpoint, savings_of(options)):
        if set(need.flags) == set(asked.transformer_flags) and need.bytes > card.usable_bytes:
            raise UsageError(
                f"{need.stage} with {' '.join(need.flags) or 'no flags'} takes about "
                f"{need.bytes / GIB:.1f} GiB, and a card of {card.name} has "
                f"{card.usable_bytes / GIB:.1f} to use",
                remedy="add --quantization fp8-cast, or --offload cpu where upstream has it",
            )


_REMEDY_OF = {
    "text encoding": "add --gemma-4bit",
    "prompt enhancement": "add --gemma-4bit",
}
