"""Whether a checkpoint, a Gemma and the Gemma flags go together, judged from headers."""

from __future__ import annotations

from collections.abc import Sequence

from ltx2_patcher.rules.request import GemmaFlag
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.model import Base
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot


def misfit_of(
    found: Checkpoint | GemmaRoot, base: Base, bases: Sequence[Base], origin: str
) -> PatcherError | None:
    """Why the base can't load what `inspect` found, taken alone; None where it can."""
    if isinstance(found, Checkpoint):
        return misfit_of_checkpoint(found, base, bases, origin)
    return misfit_of_gemma(found, None, origin)


def misfit_of_checkpoint(
    checkpoint: Checkpoint, base: Base, bases: Sequence[Base], origin: str
) -> PatcherError | None:
    """Why the base can't load the checkpoint; None where it can. `bases` are those to turn to."""
    if checkpoint.variant not in base.loads:
        able = [other.name for other in bases if checkpoint.variant in other.loads]
        others = f", or base {' or '.join(able)}" if able else ""
        return UsageError(
            f"{origin} is {checkpoint.variant}, which base {base.name} can't load",
            remedy=f"take {' or '.join(base.loads)}{others}",
        )
    if checkpoint.missing:
        return InvalidError(
            f"{origin} lacks {_some(checkpoint.missing)}, which base {base.name} expects",
            remedy="take the whole checkpoint that Lightricks publish, and download it again",
        )
    return None


def misfit_of_gemma(gemma: GemmaRoot, flag: GemmaFlag | None, origin: str) -> PatcherError | None:
    """Why the root can't be loaded with the flag; None where it can."""
    if gemma.faults:
        return InvalidError(
            f"{origin}: {gemma.faults[0]}",
            remedy="download the root again; `ltx2-patcher inspect` lists what is wrong",
        )
    if gemma.missing:
        return InvalidError(
            f"{origin} lacks {_some(gemma.missing)}",
            remedy="download the root again, whole, from the model's own page",
        )
    if gemma.quantization and flag not in {None, gemma.quantization}:
        return UsageError(
            f"{origin} is quantized already ({gemma.quantization}), --gemma-{flag} can't be had",
            remedy=f"leave the flag out, or give --gemma-{gemma.quantization}",
        )
    if gemma.quantization is None and gemma.detail.startswith("quantized by"):
        return InvalidError(
            f"{origin} is {gemma.detail}, which LTX-2 can't load",
            remedy="give the plain root, or one quantized with bitsandbytes",
        )
    if gemma.newer_layout and gemma.quantization is None and flag is None:
        return UsageError(
            f"{origin} names its tensors as newer transformers do, which upstream can't load plain",
            remedy="give --gemma-8bit or --gemma-4bit, which take either naming",
        )
    return None


def misfit_of_scales(
    checkpoint: Checkpoint, quantization: str | None, group: str | None
) -> PatcherError | None:
    """Why the scales of a prequantized checkpoint would be ignored; None where they are not.

    `group` is the last one of the series that is in. Upstream itself renders noise then (LTX-2
    issue 193).
    """
    if checkpoint.precision != "fp8 with scales":
        return None
    if quantization is None:
        return UsageError(
            "the checkpoint's fp8 weights have scales, which count only with --quantization",
            remedy="add --quantization fp8-cast",
        )
    if group == "gemma-quant" and quantization == "fp8-cast":
        return ConflictError(
            "the checkpoint's fp8 weights have scales, and the patch for these is not in",
            remedy="run `make patch` without UPTO",
        )
    return None


def misfit_of_pair(checkpoint: Checkpoint, gemma: GemmaRoot) -> PatcherError | None:
    """Why the checkpoint can't take this Gemma's output; None where it can."""
    if checkpoint.context_width in {None, gemma.context_width}:
        return None
    return ConflictError(
        f"the checkpoint's text projection takes {checkpoint.context_width} values a token, "
        f"this Gemma ({gemma.size}) gives {gemma.context_width}",
        remedy="give the Gemma it was trained with: Gemma 3 12B for LTX-2 and LTX-2.3",
    )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
