"""The weights that a recording is made with, and what of them each script is given."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.script import script_in
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.weights import Checkpoint
from verify.clips.cases import CASES, ReferenceCase
from verify.synthetic.files import FileSet, named_models
from verify.upstream.command_line import (
    CHECKPOINT,
    DISTILLED_CHECKPOINT,
    GEMMA,
    LORA,
    PARTS,
    TEXT_ENCODER,
    TRANSFORMER,
    UPSAMPLER,
    models_of,
    required_models,
)
from verify.upstream.provenance import base_of
from verify.upstream.tree import ROOT

WeightsKind = Literal["tiny", "random", "real"]
"""What clips of them can show: nothing of looks where the weights are random."""

WEIGHTS_KINDS: tuple[WeightsKind, ...] = get_args(WeightsKind)

FLAGS: Mapping[str, str] = {
    DISTILLED_CHECKPOINT: "the whole distilled model; for the distilled clips",
    CHECKPOINT: "the whole model; with a distilled LoRA, for the two-stage clips and keyframes",
    GEMMA: "the text encoder",
    UPSAMPLER: "the spatial upsampler",
    LORA: "the distilled LoRA of the second stage",
    TRANSFORMER: "the transformer alone, where each part has a file of its own",
    TEXT_ENCODER: "the text encoder packed into one file",
    **dict.fromkeys(PARTS, "that part"),
}
"""Upstream's own flags, as upstream spells them since March 2026."""

_TRUE_LAYERS = 48


@dataclass(frozen=True, slots=True)
class Models:
    """Weights by the flag that names them."""

    paths: Mapping[str, Path]
    random: bool  # made by verify.synthetic

    @property
    def text_encoder(self) -> Path:
        """Gemma's root or packed file. Raises: UsageError (none was named)."""
        for flag in (TEXT_ENCODER, GEMMA):
            if flag in self.paths:
                return self.paths[flag]
        raise UsageError("no Gemma was named", remedy=f"give {GEMMA}")

    def lacking(self, case: ReferenceCase) -> str | None:
        """The flag without which the case can't be recorded; None where nothing is missing."""
        required = required_models(case.script, self.paths)
        return next((flag for flag in required if flag not in self.paths), None)

    def of(self, case: ReferenceCase) -> dict[str, Path]:
        """What the case's script takes, by flag."""
        return models_of(case.script, self.paths)


def of_files(files: FileSet) -> Models:
    """Those of a file set of `verify.synthetic`."""
    return Models(named_models(files), random=True)


def examine(models: Models, tree: Path, flags: Sequence[str] = ()) -> WeightsKind:
    """What kind of weights they are, once the gate admits a clip of each script that they are for.

    `flags` go to every script of `tree`.
    Raises: UsageError where no checkpoint or no Gemma was named; as the gate.
    """
    if not {DISTILLED_CHECKPOINT, CHECKPOINT, TRANSFORMER} & models.paths.keys():
        raise UsageError(
            "no checkpoint was named",
            remedy=f"give {DISTILLED_CHECKPOINT} or {CHECKPOINT}, or a file set with --files",
        )
    models.text_encoder  # noqa: B018 - it says where none was named
    layers = [
        checkpoint.layers
        for name in dict.fromkeys(case.script for case in CASES)
        if (checkpoint := _admitted(models, tree, name, flags)) is not None
    ]
    if not layers:
        raise UsageError(
            f"no clip can be made without {models.lacking(CASES[0])}",
            remedy="name the weights, or a file set of verify.synthetic with --files",
        )
    if min(layers) < _TRUE_LAYERS:
        return "tiny"
    return "random" if models.random else "real"


def _admitted(models: Models, tree: Path, name: str, flags: Sequence[str]) -> Checkpoint | None:
    """The checkpoint of a clip of that script; None where weights for it were not named."""
    if not set(required_models(name, models.paths)) <= models.paths.keys():
        return None
    script = script_in(
        Store(ROOT),
        tree,
        name,
        base=base_of(tree) or tree.name,
        python=Path(sys.executable),
        gpus=(),
    )
    words = [str(word) for pair in models_of(name, models.paths).items() for word in pair]
    usual = ["--num-frames", "9"]  # any length: what is judged here are the weights
    request = parse_argv(script.target.pipeline, [*words, *usual, *flags])
    return admit(request, script.target).checkpoint
