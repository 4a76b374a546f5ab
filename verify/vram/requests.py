"""What is asked of a measurement, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.jobs.models.inspect import inspect_checkpoint
from ltx2_patcher.rules.models.budget import savings_of, transformer_needs
from ltx2_patcher.rules.models.pipelines import parse_pipelines, pick
from ltx2_patcher.rules.models.request import parse_request
from ltx2_patcher.values.errors import OutsideError, UsageError
from ltx2_patcher.values.weights import Checkpoint
from verify.upstream.process import OURS, core_of
from verify.upstream.provenance import base_of, provenance_of
from verify.vram.asked import Asked, parse_asked, with_frames
from verify.vram.baselines import of_base, read_baselines
from verify.vram.card import CONTEXT_BYTES, GIB, Card, parse_card, whole_card
from verify.vram.forecast import refuse_what_can_not_fit
from verify.vram.gpu import chosen_gpu
from verify.vram.runner import Task

_DEFAULT_TREE = OURS / "vendor" / "LTX-2-1.0.0"
_FULL_SIZE_ELEMENTS = 10**10
"""The models that were measured have 19 billion; what is smaller is a test's."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be run; `about` is where and with what, for the report."""

    task: Task
    asked: Asked
    model: str | None  # "LTX-2.3 22B"; None where the command line names none
    about: Mapping[str, object]

    def of_length(self, frames: int) -> Prepared:
        """The same for a clip of so many frames."""
        task = replace(self.task, argv=with_frames(self.task.argv, frames))
        return replace(self, task=task, asked=replace(self.asked, frames=frames))


def prepared(
    tree: Path | None,
    name: str,
    argv: Sequence[str],
    budget: str | None,
    until: str | None,
    *,
    may_exceed: bool = False,
) -> Prepared:
    """All that can be told before a model is loaded holds; with `may_exceed`, as in a search, more
    may be asked than the card holds.

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
    asked = parse_asked(pipeline, argv)
    card = parse_card(budget) if budget else None
    gpu = chosen_gpu()
    if card is not None:
        gpu = require_room(gpu, card)
        if checkpoint is not None and not may_exceed:
            _require_fit(asked, checkpoint, card, pipeline.options, base_of(tree))
    index = None if gpu is None else gpu.index
    task = Task(tree, pipeline.name, tuple(argv), card, index, _stands_in(gpu, card), until)
    model = None if checkpoint is None else checkpoint.variant
    return Prepared(task, asked, model, about_of(tree, gpu, card))


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


def require_room(gpu: Gpu | None, card: Card) -> Gpu:
    """The GPU, where such a card's memory is free on it. Raises: OutsideError."""
    if gpu is None:
        raise OutsideError(
            "there is no GPU that a budget could be held on",
            remedy="use a machine with one; without --budget, seconds and host memory are measured",
        )
    if gpu.total_bytes < card.usable_bytes:
        raise OutsideError(
            f"{gpu.name} has {gpu.total_bytes / GIB:.1f} GiB, less than a card of {card.name}",
            remedy=f"give --budget {whole_card(gpu.total_bytes).name}",
        )
    if gpu.free_bytes < card.allocator_bytes + CONTEXT_BYTES:
        held = gpu.total_bytes - gpu.free_bytes
        raise OutsideError(
            f"other processes hold {held / GIB:.1f} GiB of {gpu.name}, and the "
            f"{gpu.free_bytes / GIB:.1f} GiB left are less than a card of {card.name} offers",
            remedy="end them (`nvidia-smi` lists them), or give a smaller --budget",
        )
    return gpu


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
