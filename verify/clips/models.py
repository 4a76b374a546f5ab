"""The weights that a recording is made with, and what of them each script is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.jobs.models.inspect import described, inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.rules.models.pairing import misfit_of_pair
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.weights import Lora, ModelPart, Upsampler
from verify.clips.cases import ReferenceCase
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


def examine(models: Models) -> WeightsKind:
    """What kind of weights they are, once each is what its flag says and goes with the others.

    Reads headers only. Raises: UsageError (a file is missing or stands where another belongs),
    InvalidError (one is broken or no LTX-2 model), ConflictError (Gemma and checkpoint differ).
    """
    for flag, path in models.paths.items():
        with translated(path):
            if not path.exists():
                raise UsageError(f"{flag}: there is no {path}", remedy="check the path")
    gemma = inspect_gemma(models.text_encoder)
    layers = []
    for flag in (DISTILLED_CHECKPOINT, CHECKPOINT, TRANSFORMER):
        if flag in models.paths:
            checkpoint = inspect_checkpoint(models.paths[flag])
            layers.append(checkpoint.layers)
            if (misfit := misfit_of_pair(checkpoint, gemma)) is not None:
                raise misfit
    for flag, wanted in ((UPSAMPLER, Upsampler), (LORA, Lora), *((p, ModelPart) for p in PARTS)):
        if flag in models.paths and not isinstance(file := inspect(models.paths[flag]), wanted):
            raise UsageError(
                f"{flag}: {models.paths[flag]} is {described(file)}",
                remedy="check which file goes where",
            )
    if not layers:
        raise UsageError(
            "no checkpoint was named",
            remedy=f"give {DISTILLED_CHECKPOINT} or {CHECKPOINT}, or a file set with --files",
        )
    if min(layers) < _TRUE_LAYERS:
        return "tiny"
    return "random" if models.random else "real"
