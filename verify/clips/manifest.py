"""A recording on disk: a folder of clips and what was computed on the way, with a manifest.

manifest.json            written last: what was run, with what, and the SHA-256 of every file
images/NAME.png          what clips had to begin or end with
CASE/clip.mp4            as the script wrote it
CASE/first.png, middle.png, last.png
CASE/latents.safetensors, hidden.safetensors     see `recorder`
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import InvalidError, UsageError
from verify.clips.cases import GEMMAS
from verify.clips.models import WEIGHTS_KINDS, WeightsKind
from verify.upstream.command_line import ClipShape, Gemma

FORMAT = 1
NAME = "manifest.json"
CLIP, LATENTS, HIDDEN = "clip.mp4", "latents.safetensors", "hidden.safetensors"
STILLS = ("first", "middle", "last")
INT8 = "int8"
"""A transformer's quantization that has bounds; of others, only equality is known."""
_QUANTIZATION, _INT8_HOW = "--quantization", ("--int8-unrotated", "--int8-keep-ends")
CASE_FILES = frozenset((CLIP, LATENTS, HIDDEN, *(f"{still}.png" for still in STILLS)))


@dataclass(frozen=True, slots=True)
class Upstream:
    """Which upstream ran, told by its files' content."""

    base: str  # the one whose series is in, or that it comes nearest to
    standing: str  # "upstream", "patched" or "edited"
    group: str | None  # the last group that is in, where patched
    files: str  # SHA-256 of the blob ids of every file that the series touches


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file or folder that upstream was given."""

    name: str
    fingerprint: str  # see `fingerprint`


@dataclass(frozen=True, slots=True)
class Recorded:
    """One clip that was recorded."""

    name: str
    script: str
    prompt: str
    seed: int
    images: Mapping[str, int]  # what it passes through: image -> frame
    seconds: float  # of the script's main(), imports left out
    files: Mapping[str, str]  # name in the case's folder -> SHA-256


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a recording is of."""

    case_set: str  # `cases.digest`
    shape: ClipShape
    weights: WeightsKind
    weight_files: Mapping[str, WeightFile]  # by upstream's flag
    upstream: Upstream
    gemma: Gemma
    extra: tuple[str, ...]  # further arguments that every script was given
    machine: str  # the GPU's name, or the CPU's
    versions: Mapping[str, str]
    date: str  # yyyy-mm-dd
    images: Mapping[str, str]  # name -> SHA-256 of its PNG
    cases: tuple[Recorded, ...]
    left_out: Mapping[str, str]  # case -> the flag that was missing

    @property
    def transformer(self) -> str:
        """How the scripts were told to quantize it: "none", "fp8-cast", "int8"."""
        told = self.extra
        return told[told.index(_QUANTIZATION) + 1] if _QUANTIZATION in told[:-1] else "none"

    @property
    def beside(self) -> tuple[str, ...]:
        """The further arguments without those that quantize the transformer."""
        quantizing = {_QUANTIZATION, self.transformer, *_INT8_HOW}
        return tuple(word for word in self.extra if word not in quantizing)

    @property
    def label(self) -> str:
        """What tells it from its neighbours, for people."""
        gemma = "bf16" if self.gemma is Gemma.PLAIN else f"{self.gemma.value[0]}-bit"
        gemma += ", int8 transformer" if self.transformer == INT8 else ""
        return f"unpatched {gemma}" if self.upstream.standing == "upstream" else gemma


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording: every file is there, and as it was written."""

    folder: Path
    manifest: Manifest

    def file(self, case: str, name: str) -> Path:
        """A file of a case."""
        return self.folder / case / name


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def render(manifest: Manifest) -> str:
    """The text of manifest.json."""
    fields = asdict(manifest) | {"gemma": manifest.gemma.value}
    return json.dumps({"format": FORMAT, **fields}, indent=1, ensure_ascii=False) + "\n"


def parse(text: str, origin: str) -> Manifest:
    """Raises: InvalidError (it is no manifest, or of another format)."""
    try:
        raw: dict[str, Any] = json.loads(text)
        if raw.pop("format") != FORMAT:
            raise InvalidError(
                f"{origin} was written in another format than {FORMAT}",
                remedy="record again with this version of the tool",
            )
        manifest = Manifest(
            **raw
            | {
                "shape": ClipShape(**raw["shape"]),
                "weight_files": {k: WeightFile(**v) for k, v in raw["weight_files"].items()},
                "upstream": Upstream(**raw["upstream"]),
                "gemma": Gemma(raw["gemma"]),
                "extra": tuple(raw["extra"]),
                "cases": tuple(Recorded(**case) for case in raw["cases"]),
            }
        )
        well = (
            manifest.gemma in GEMMAS
            and manifest.weights in WEIGHTS_KINDS
            and manifest.cases
            and all(case.files.keys() == CASE_FILES for case in manifest.cases)
            and all(Path(case.name).name == case.name for case in manifest.cases)
            and all(Path(image).name == image for image in manifest.images)
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _not_one(origin) from error
    if not well:
        raise _not_one(origin)
    return manifest


def open_recording(folder: Path) -> Recording:
    """The recording in `folder`, its files compared with their digests.

    Raises: UsageError (no such folder, or no recording), InvalidError (torn), OutsideError.
    """
    path = folder / NAME
    with translated(path):
        if not path.is_file():
            what = "no recording: it has no manifest.json" if folder.is_dir() else "no folder"
            raise UsageError(
                f"{folder} is {what}", remedy="name a folder that `verify.clips record` made"
            )
        text = path.read_text("utf-8", "replace")
    manifest = parse(text, str(path))
    promised = {folder / "images" / f"{name}.png": said for name, said in manifest.images.items()}
    for case in manifest.cases:
        promised |= {folder / case.name / name: said for name, said in case.files.items()}
    for file, said in promised.items():
        with translated(file):
            if not file.is_file() or digest_of(file) != said:
                state = "has changed since" if file.is_file() else "is missing"
                raise InvalidError(
                    f"{folder} is torn: {file.relative_to(folder)} {state}",
                    remedy="copy the recording again, or record again into a new folder",
                )
    return Recording(folder, manifest)


def _not_one(origin: str) -> InvalidError:
    return InvalidError(
        f"{origin} is no manifest of a recording", remedy="record again into a new folder"
    )
