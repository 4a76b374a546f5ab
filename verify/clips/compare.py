"""Measure one recording against another, the reference: what differs, where first, how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from ltx2_patcher.values.errors import InvalidError, UsageError
from verify.clips import manifest
from verify.clips.cases import GEMMAS
from verify.clips.decoding import read_frames
from verify.clips.manifest import INT8, Manifest, Recording
from verify.clips.metrics import cosine, psnr_db, ssim, whole_cosine
from verify.upstream.command_line import Gemma


@dataclass(frozen=True, slots=True)
class Layer:
    """The hidden states that one layer has for one text."""

    text: int  # 0 is the prompt, 1 the negative one
    layer: int  # 0 is the embedding
    cosine: float  # mean over the real tokens
    equal: bool


@dataclass(frozen=True, slots=True)
class Latent:
    """What was decoded in the end."""

    name: str  # "video", "audio"
    cosine: float
    equal: bool


@dataclass(frozen=True, slots=True)
class CaseComparison:
    """One clip against the reference's, stage by stage."""

    case: str
    layers: tuple[Layer, ...]  # in the order of computing
    latents: tuple[Latent, ...]
    psnr_db: tuple[float, ...]  # a frame each; infinite where equal
    ssim: tuple[float, ...]
    same_clip: bool  # every byte of the mp4: pictures, sound and how they are coded

    @property
    def first_difference(self) -> str | None:
        """The first stage that differs and where in it; None where all is equal."""
        for layer in self.layers:
            if not layer.equal:
                return f"text encoding (text {layer.text}, layer {layer.layer})"
        for latent in self.latents:
            if not latent.equal:
                return f"{latent.name} latents"
        if (frame := self.first_frame) is not None:
            return f"frames (frame {frame})"
        return None if self.same_clip else "sound or coding of the mp4"

    @property
    def first_frame(self) -> int | None:
        """The index of the first frame that differs."""
        return next((at for at, db in enumerate(self.psnr_db) if db != float("inf")), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A recording against a reference."""

    reference: Manifest
    other: Manifest
    cases: tuple[CaseComparison, ...]


def compare(reference: Recording, other: Recording) -> Comparison:
    """Every clip of both, measured.

    Raises: UsageError (they are not of the same thing, or the reference is quantized more than
    the other), InvalidError (a file can't be read).
    """
    require_comparable(reference.manifest, other.manifest)
    _require_same_images(reference, other)
    measured = tuple(_measure(reference, other, case.name) for case in reference.manifest.cases)
    return Comparison(reference.manifest, other.manifest, measured)


def require_comparable(reference: Manifest, other: Manifest) -> None:
    """Return where only what is compared differs: the upstream's files, and Gemma's quantization or
    that of the transformer, to int8.

    Raises: UsageError.
    """
    remedy = "record both with the same cases, weights, base and arguments"
    if reference.shape != other.shape:
        raise UsageError(
            f"one recording is {reference.shape}, the other {other.shape}", remedy=remedy
        )
    names, others = ([case.name for case in m.cases] for m in (reference, other))
    if missing := set(names) ^ set(others):
        raise UsageError(f"only one recording has {', '.join(sorted(missing))}", remedy=remedy)
    if reference.case_set != other.case_set:
        raise UsageError(
            "the recordings are of different prompts, seeds or settings", remedy=remedy
        )
    if differing := _differing_weights(reference, other):
        raise UsageError(f"the recordings were made with different {differing}", remedy=remedy)
    if reference.upstream.base != other.upstream.base:
        raise UsageError(
            f"one recording is of base {reference.upstream.base}, the other of "
            f"{other.upstream.base}",
            remedy=remedy,
        )
    if reference.extra != other.extra and not _is_held_to_bounds(reference, other):
        extras = [" ".join(m.extra) or "none" for m in (reference, other)]
        raise UsageError(
            f"the scripts' further arguments differ: {extras[0]}, and {extras[1]}", remedy=remedy
        )
    if reference.extra != other.extra and reference.gemma is not other.gemma:
        raise UsageError(
            "the recordings differ in the transformer's quantization and in Gemma's",
            remedy="record one of them again, so that one of the two differs",
        )
    # 4-bit may be held against 8-bit, where no card at hand holds bf16.
    if _PRECISION.index(reference.gemma) > _PRECISION.index(other.gemma):
        raise UsageError(
            f"the reference is quantized ({reference.gemma.value}), the other recording less "
            f"({other.gemma.value})",
            remedy="name the more precise recording first",
        )


def _is_held_to_bounds(reference: Manifest, other: Manifest) -> bool:
    """Whether the arguments differ in this alone: the other's transformer is int8."""
    return reference.transformer != INT8 == other.transformer and reference.beside == other.beside


_PRECISION = (Gemma.PLAIN, Gemma.FLAG_8BIT, Gemma.FLAG_4BIT)
assert set(_PRECISION) == set(GEMMAS)


def _differing_weights(a: Manifest, b: Manifest) -> str | None:
    for flag in sorted({*a.weight_files, *b.weight_files}):
        ours, theirs = a.weight_files.get(flag), b.weight_files.get(flag)
        if ours is None or theirs is None or ours.fingerprint != theirs.fingerprint:
            return f"weights ({flag})"
    return None


def _require_same_images(a: Recording, b: Recording) -> None:
    """By pixel: two releases of a library may write other bytes for the same picture."""
    for name in a.manifest.images:
        ours, theirs = (np.asarray(Image.open(r.folder / "images" / f"{name}.png")) for r in (a, b))
        if not np.array_equal(ours, theirs):
            raise UsageError(
                f"the recordings began with different images ({name})",
                remedy="record both with the same version of the tool, on one machine",
            )


def _measure(reference: Recording, other: Recording, case: str) -> CaseComparison:
    clips = [r.file(case, manifest.CLIP) for r in (reference, other)]
    hidden = [_tensors(r.file(case, manifest.HIDDEN)) for r in (reference, other)]
    latents = [_tensors(r.file(case, manifest.LATENTS)) for r in (reference, other)]
    for a, b in (hidden, latents):
        if {n: t.shape for n, t in a.items()} != {n: t.shape for n, t in b.items()}:
            raise InvalidError(
                f"the recordings of {case} hold tensors of different shapes",
                remedy="record both again with one version of the tool",
            )
    frames = [read_frames(clip) for clip in clips]
    if frames[0].shape != frames[1].shape:
        raise InvalidError(
            f"the clips of {case} are {frames[0].shape} and {frames[1].shape} frames",
            remedy="record both again",
        )
    return CaseComparison(
        case=case,
        layers=tuple(
            Layer(*_place(name), cosine(a, b), torch.equal(a, b))
            for name, a, b in _pairs(hidden[0], hidden[1])
        ),
        latents=tuple(
            Latent(
                name,
                whole_cosine(latents[0][name], latents[1][name]),
                torch.equal(latents[0][name], latents[1][name]),
            )
            for name in ("video", "audio")
        ),
        psnr_db=tuple(psnr_db(*frames)),
        ssim=tuple(ssim(*frames)),
        same_clip=clips[0].read_bytes() == clips[1].read_bytes(),
    )


def _place(name: str) -> tuple[int, int]:
    """("text1.layer12") -> (1, 12)."""
    text, layer = name.split(".")
    return int(text.removeprefix("text")), int(layer.removeprefix("layer"))


def _pairs(
    a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]
) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    return [(name, a[name], b[name]) for name in sorted(a, key=_place)]


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidError(f"{path} can't be read: {error}", remedy="record again") from error
    return tensors
