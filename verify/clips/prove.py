"""Prove a patched tree: with the flags off it is upstream, and with them its clips stay close."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.jobs.models.inspect import inspect_gemma
from verify.clips.cases import CASES, FULL, TINY
from verify.clips.compare import compare
from verify.clips.judge import ClipVerdict, judge, read_bounds
from verify.clips.manifest import Recording
from verify.clips.models import Models, WeightsKind, examine
from verify.clips.record import Progress, Recipe, record
from verify.clips.tree import copy_unpatched
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

_BESIDE_GEMMA_BYTES = 3 << 29
"""What encoding takes beside the weights: 0.9 GiB of activations, 0.5 of CUDA's context."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was recorded and how it was judged."""

    weights: WeightsKind
    recordings: tuple[Recording, ...]  # the reference first
    verdicts: tuple[ClipVerdict, ...]  # on each of the others
    unproved: str | None  # what this machine could not show, and why

    @property
    def passed(self) -> bool:
        """Every verdict is good."""
        return all(verdict.passed for verdict in self.verdicts)


def prove(
    tree: Path, models: Models, folder: Path, progress: Progress, *, extra: tuple[str, ...] = ()
) -> Proof:
    """Recordings of unpatched upstream, of the flags off, of 8-bit and of 4-bit lie in `folder`.

    `tree` is patched; the unpatched one is a private copy, made without the series. Where the card
    can't hold a Gemma in bf16, the first two are left out, and 8-bit stands in for bf16.
    Raises: as `record`, `compare` and `copy_unpatched`.
    """
    kind = examine(models, tree, extra)
    shape = TINY if kind == "tiny" else FULL
    short_bytes = _short_of_bf16(models)
    recordings = []
    if short_bytes <= 0:
        with tempfile.TemporaryDirectory() as name:
            unpatched = Path(name) / "upstream"
            copy_unpatched(tree, unpatched)
            with Pipelines(unpatched, helped=True) as pipelines:
                recipe = Recipe(models, Gemma.PLAIN, shape, CASES, extra)
                recordings.append(record(recipe, pipelines, folder / "unpatched", progress))
    gemmas = [Gemma.FLAG_8BIT, Gemma.FLAG_4BIT]
    with Pipelines(tree) as pipelines:
        for gemma in gemmas if short_bytes > 0 else [Gemma.PLAIN, *gemmas]:
            recipe = Recipe(models, gemma, shape, CASES, extra)
            recordings.append(record(recipe, pipelines, folder / gemma.value, progress))
    reference, *others = recordings
    bounds = read_bounds()
    return Proof(
        weights=kind,
        recordings=tuple(recordings),
        verdicts=tuple(judge(compare(reference, other), bounds) for other in others),
        unproved=(
            f"a Gemma in bf16 lacks {short_bytes / 2**30:.1f} GiB on this card: flags off was not "
            "compared with unpatched upstream, and 8-bit stands in for bf16"
            if short_bytes > 0
            else None
        ),
    )


def _short_of_bf16(models: Models) -> int:
    """How many bytes the first card has too few for an unquantized Gemma; below 1 it fits."""
    gpu = machine.gpu(None)
    if gpu is None:
        return 0
    return inspect_gemma(models.text_encoder).bytes + _BESIDE_GEMMA_BYTES - gpu.total_bytes
