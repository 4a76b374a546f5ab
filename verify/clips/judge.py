"""Hold a comparison against its bounds: a pure rule, and a verdict that explains itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from verify.clips.compare import CaseComparison, Comparison
from verify.clips.models import WEIGHTS_KINDS, WeightsKind

BEST_DB = 60.0
"""A PSNR from which two frames can't be told apart: less than one level of 255 between them."""

BOUNDS = Path(__file__).with_name("bounds.toml")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least that a quantized Gemma must reach against bf16, or a transformer of int8 against
    one that is not.
    """

    hidden_cosine: float  # of every kept layer of every text
    video_latent_cosine: float
    audio_latent_cosine: float
    psnr_db: float  # of every frame
    ssim: float  # of every frame


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """One measure and its bound, at the place where it is worst."""

    case: str
    measure: str  # "hidden-state cosine"
    where: str  # "text 0, layer 12", "frame 3"
    value: float
    bound: float
    best: float  # what is as good as equal

    @property
    def passed(self) -> bool:
        """At the bound is within; what is no number is not."""
        return self.value >= self.bound

    @property
    def gap(self) -> float:
        """How far above the bound; negative where it is out."""
        return self.value - self.bound

    @property
    def share(self) -> float:
        """Where it stands between the bound, 0, and the best, 1; negative where it is out."""
        return (min(self.value, self.best) - self.bound) / (self.best - self.bound)


@dataclass(frozen=True, slots=True)
class ClipVerdict:
    """What came of a comparison."""

    passed: bool
    text: str  # one sentence, with both numbers
    checks: tuple[BoundCheck, ...]  # empty where equality was asked for
    differences: Mapping[str, str]  # case -> the first stage that differs


def spelled(value: float) -> str:
    """A measure for people: never rounded up to what is equal."""
    if value == float("inf"):
        return "equal"
    if 0.9999 < value < 1:
        return f"{min(value, 0.999999):.6f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


AllBounds = Mapping[WeightsKind, Mapping[str, Bounds]]


def read_bounds(path: Path = BOUNDS) -> AllBounds:
    """By weights, then by what the other recording is quantized to: "4bit", "8bit", "int8"."""
    raw = tomllib.loads(path.read_text("utf-8"))
    return {
        kind: {name: Bounds(**values) for name, values in raw[kind].items()}
        for kind in WEIGHTS_KINDS
    }


def held_to(comparison: Comparison, bounds: AllBounds) -> Bounds | None:
    """The bounds of what the other is quantized to; None where both are quantized alike."""
    reference, other = comparison.reference, comparison.other
    if reference.gemma is not other.gemma:
        return bounds[other.weights][other.gemma.value]
    return None if reference.extra == other.extra else bounds[other.weights][other.transformer]


def judge(comparison: Comparison, bounds: AllBounds) -> ClipVerdict:
    """Equal where both are quantized alike, else within the bounds of the other's quantization."""
    reference, other = comparison.reference, comparison.other
    differences = {
        measured.case: first
        for measured in comparison.cases
        if (first := measured.first_difference) is not None
    }
    if (limits := held_to(comparison, bounds)) is None:
        return _equality(comparison, differences)
    checks = tuple(check for measured in comparison.cases for check in _checks(measured, limits))
    out = [check for check in checks if not check.passed]
    what = f"{other.label} against {reference.label}"
    if out:
        worst = out[0]  # the first in the order of computing: what comes later follows from it
        more = f"; {len(out) - 1} more are out too" if len(out) > 1 else ""
        text = (
            f"{what}: {worst.measure} of {worst.case} ({worst.where}) is {spelled(worst.value)}, "
            f"{-worst.gap:.2g} below its bound of {worst.bound:g}{more}"
        )
    else:
        closest = min(checks, key=lambda check: check.share)
        text = (
            f"{what}: within bounds; closest is {closest.measure} of {closest.case} "
            f"({closest.where}), {spelled(closest.value)} with a bound of {closest.bound:g}"
        )
    return ClipVerdict(not out, text, checks, differences)


def _equality(comparison: Comparison, differences: Mapping[str, str]) -> ClipVerdict:
    reference, other = comparison.reference, comparison.other
    what = f"{other.label} against {reference.label}"
    if not differences:
        text = f"{what}: every byte of {len(comparison.cases)} clips is equal, and all before it"
        return ClipVerdict(True, text, (), {})
    measured = next(m for m in comparison.cases if m.case in differences)
    frame = measured.first_frame
    seen = (
        "no frame differs"
        if frame is None
        else f"the first frame that differs is {frame}, at {measured.psnr_db[frame]:.1f} dB"
    )
    machines = (
        ""
        if reference.machine == other.machine
        else f"; the machines differ ({reference.machine}, {other.machine}), which alone may do it"
    )
    text = (
        f"{what}: {len(differences)} of {len(comparison.cases)} clips are not equal; "
        f"{measured.case} differs from {differences[measured.case]} on, {seen}{machines}"
    )
    return ClipVerdict(False, text, (), differences)


def _checks(measured: CaseComparison, limits: Bounds) -> Iterator[BoundCheck]:
    """One a measure, at its worst place, in the order of computing."""
    case = measured.case
    layer = min(measured.layers, key=lambda layer: layer.cosine)
    where = f"text {layer.text}, layer {layer.layer}"
    yield BoundCheck(case, "hidden-state cosine", where, layer.cosine, limits.hidden_cosine, 1.0)
    latent_bounds = {"video": limits.video_latent_cosine, "audio": limits.audio_latent_cosine}
    for latent in measured.latents:
        measure, bound = f"{latent.name} latent cosine", latent_bounds[latent.name]
        yield BoundCheck(case, measure, "all of it", latent.cosine, bound, 1.0)
    for measure, values, bound, best in (
        ("PSNR in dB", measured.psnr_db, limits.psnr_db, BEST_DB),
        ("SSIM", measured.ssim, limits.ssim, 1.0),
    ):
        frame = min(range(len(values)), key=values.__getitem__)
        yield BoundCheck(case, measure, f"frame {frame}", values[frame], bound, best)
