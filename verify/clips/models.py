"""The weights that a recording is made with, and what of them each script is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.jobs.models.inspect import described, inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.rules.models.pairing import refusal_of_pair
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.weights import Lora, ModelPart, Upsampler
from verify.clips.cases import ReferenceCase
from verify.synthetic.files import FileSet, Layout
from verify.upstream.cases import DISTILLED_CHECKPOINT, knows_flag

Kind = Literal["tiny", "random", "real"]
"""What clips of them can show: nothing of looks where the weights are random."""

KINDS: tuple[Kind, ...] = get_args(Kind)

CHECKPOINT, TRANSFORMER = "--checkpoint-path", "--transformer-path"
GEMMA, UPSAMPLER, LORA = "--gemma-root", "--spatial-upsampler-path", "--distilled-lora"
_TEXT_ENCODER = "--text-encoder-path"
_PARTS = ("--video-vae-path", "--audio-vae-path", "--duration-head-path")
FLAGS: Mapping[str, str] = {
    DISTILLED_CHECKPOINT: "the whole distilled model; for the distilled clips",
    CHECKPOINT: "the whole model; with a distilled LoRA, for the two-stage clips and keyframes",
    GEMMA: "the text encoder",
    UPSAMPLER: "the spatial upsampler",
    LORA: "the distilled LoRA of the second stage",
    TRANSFORMER: "the transformer alone, where each part has a file of its own",
    _TEXT_ENCODER: "the text encoder packed into one file",
    **dict.fromkeys(_PARTS, "that part"),
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
        for flag in (_TEXT_ENCODER, GEMMA):
            if flag in self.paths:
                return self.paths[flag]
        raise UsageError("no Gemma was named", remedy=f"give {GEMMA}")

    def lacking(self, case: ReferenceCase) -> str | None:
        """The flag without which the case can't be recorded; None where nothing is missing."""
        whole = DISTILLED_CHECKPOINT if case.distilled else CHECKPOINT
        needed = [TRANSFORMER if TRANSFORMER in self.paths else whole, UPSAMPLER]
        needed += [] if case.distilled else [LORA]
        needed += [] if _TEXT_ENCODER in self.paths else [GEMMA]
        return next((flag for flag in needed if flag not in self.paths), None)

    def of(self, case: ReferenceCase) -> dict[str, Path]:
        """What the case's script takes, by flag."""
        whole = DISTILLED_CHECKPOINT if case.distilled else CHECKPOINT
        split = TRANSFORMER in self.paths
        wanted = [TRANSFORMER, *_PARTS] if split else [whole]
        wanted += [_TEXT_ENCODER if _TEXT_ENCODER in self.paths else GEMMA, UPSAMPLER]
        wanted += [] if case.distilled else [LORA]
        return {flag: self.paths[flag] for flag in wanted if flag in self.paths}

    def arguments(self, case: ReferenceCase, tree: Path) -> list[str]:
        """The arguments that name them, as the upstream in `tree` spells them."""
        spelled = (
            {} if knows_flag(tree, DISTILLED_CHECKPOINT) else {DISTILLED_CHECKPOINT: CHECKPOINT}
        )
        return [
            text
            for flag, path in self.of(case).items()
            for text in (spelled.get(flag, flag), str(path))
        ]


def of_files(files: FileSet) -> Models:
    """Those of a file set of `verify.synthetic`: one checkpoint serves every script."""
    if files.layout is Layout.MONOLITH:
        named = {
            DISTILLED_CHECKPOINT: files.checkpoint,
            CHECKPOINT: files.checkpoint,
            GEMMA: files.gemma_root,
        }
    else:
        named = {
            TRANSFORMER: files.transformer,
            _TEXT_ENCODER: files.text_encoder,
            "--video-vae-path": files.video_vae,
            "--audio-vae-path": files.audio_vae,
            "--duration-head-path": files.duration_head,
        }
    named |= {UPSAMPLER: files.spatial_upsampler, LORA: files.distilled_lora}
    return Models({flag: path for flag, path in named.items() if path.exists()}, random=True)


def examine(models: Models) -> Kind:
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
            if (misfit := refusal_of_pair(checkpoint, gemma)) is not None:
                raise misfit
    for flag, wanted in ((UPSAMPLER, Upsampler), (LORA, Lora), *((p, ModelPart) for p in _PARTS)):
        if flag in models.paths and not isinstance(found := inspect(models.paths[flag]), wanted):
            raise UsageError(
                f"{flag}: {models.paths[flag]} is {described(found)}",
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
