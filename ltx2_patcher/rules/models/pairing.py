"""Whether the files of a model and the Gemma flags go together, judged from headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltx2_patcher.rules.models import abilities
from ltx2_patcher.rules.models.converting import (
    PAGES,
    checkpoint_from,
    joined_with,
    refusal_of_source,
    root_from,
)
from ltx2_patcher.rules.models.precision import (
    FP8,
    FP8_SCALED,
    INT8,
    NVFP4,
    UNREAD,
    UNREADABLE,
)
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.request import GemmaFlag
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, ModelPart, Source, Upsampler

_GOES_WITH = "Gemma 3 12B goes with LTX-2 and LTX-2.3, the Gemma 4 12B of its own with LTX-2.5"


def refusal_of(
    found: Checkpoint | GemmaRoot | ModelPart | Source,
    able: Abilities,
    others: Sequence[Abilities],
    origin: str,
) -> PatcherError | None:
    """Why the base can't load what `inspect` found, taken alone; None where it can."""
    match found:
        case Checkpoint():
            return refusal_of_checkpoint(found, able, others, origin)
        case GemmaRoot():
            return refusal_of_gemma(found, None, able, others, origin)
        case ModelPart():
            return refusal_of_part(found, able, others, origin)
        case Source():
            return refusal_of_source(found, origin)


def refusal_of_checkpoint(
    checkpoint: Checkpoint, able: Abilities, others: Sequence[Abilities], origin: str
) -> PatcherError | None:
    """Why the base can't load the checkpoint; None where it can. `bases` are those to turn to."""
    if checkpoint.variant not in able.loads:
        offering = [other for other in others if checkpoint.variant in other.loads]
        return UsageError(
            f"{origin} is {checkpoint.variant}, which base {able.base} can't load",
            remedy=f"take {' or '.join(able.loads)}{_or_base(offering)}",
        )
    # Before what is missing: codes have other names.
    if checkpoint.precision in UNREAD and not takes_int8(checkpoint, able):
        offering = [other for other in others if takes_int8(checkpoint, other)]
        return UsageError(
            f"the weights in {origin} are {checkpoint.precision}, which "
            + (f"base {able.base} does not read" if offering else "no upstream reads"),
            remedy="give the bf16 checkpoint, with --quantization fp8-cast for a card of 24 GB"
            if checkpoint.precision in UNREADABLE
            else checkpoint_from(origin, "" if offering else checkpoint.precision)
            + _or_base(offering),
        )
    if not checkpoint.whole and not able.takes_packed_files:
        return UsageError(
            f"{origin} is the transformer of {checkpoint.variant} alone, and base {able.base} "
            "takes whole checkpoints only",
            remedy=f"take the whole checkpoint, or {joined_with(origin)}"
            + _or_base([other for other in others if other.takes_packed_files]),
        )
    if abilities.is_generation(checkpoint.stated) and checkpoint.stated != checkpoint.generation:
        return InvalidError(
            f"{origin} holds the tensors of {checkpoint.variant}, and its metadata says that it is "
            f"{checkpoint.stated}, by which upstream would pick steps, guidance and compression",
            remedy="take the file that Lightricks publish; repacked ones may mix up their metadata",
        )
    if checkpoint.missing:
        return InvalidError(
            f"{origin} lacks {_some(checkpoint.missing)}, which base {able.base} expects",
            remedy="take the whole checkpoint that Lightricks publish, and download it again",
        )
    return None


def takes_int8(checkpoint: Checkpoint, able: Abilities) -> bool:
    """Whether the base multiplies by the checkpoint's int8 weights as they are stored, which are
    those of ComfyUI under upstream's own names.
    """
    return checkpoint.precision in INT8 and able.multiplies_integers


def refusal_of_quantization(
    quantization: str | None, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why the base ends on its own --quantization; None where it does not."""
    if quantization != "fp8-scaled-mm" or able.takes_scaled_mm:
        return None
    return UsageError(
        f"base {able.base} can't take --quantization {quantization}: upstream's parser ends with a "
        "TypeError",
        remedy="give --quantization fp8-cast"
        + _or_base([other for other in others if other.takes_scaled_mm]),
    )


def refusal_of_part(
    part: ModelPart, able: Abilities, others: Sequence[Abilities], origin: str
) -> PatcherError | None:
    """Why the base can't load a part in a file of its own; None where it can."""
    if not able.takes_packed_files:
        offering = [other for other in others if other.takes_packed_files]
        return UsageError(
            f"{origin} is the {part.name} alone, and base {able.base} takes whole checkpoints only",
            remedy=f"take the whole checkpoint{_or_base(offering)}",
        )
    if part.missing:
        return InvalidError(
            f"the {part.name} in {origin} lacks {_some(part.missing)}",
            remedy="download the file again, from the model's own page",
        )
    return None


def refusal_of_gemma(
    gemma: GemmaRoot,
    flag: GemmaFlag | None,
    able: Abilities,
    others: Sequence[Abilities],
    origin: str,
) -> PatcherError | None:
    """Why the base can't load the Gemma with the flag; None where it can.

    Whether it goes with a checkpoint is `refusal_of_pair`'s matter.
    """
    return _unfit_family(gemma, able, others, origin) or _unfit_files(gemma, flag, able, origin)


def refusal_of_encoder(gemma: GemmaRoot, origin: str) -> PatcherError | None:
    """Why the Gemma can't encode prompts; None where it can."""
    if gemma.kind != "gemma4":
        return None
    return UsageError(
        f"{origin} is an instruct Gemma 4, which writes prompts and can't encode them",
        remedy=f"give it with --prompt-enhancer-gemma-root; {_GOES_WITH}",
    )


def refusal_of_enhancer(gemma: GemmaRoot, option: str, origin: str) -> PatcherError | None:
    """Why the Gemma, named with the option, can't write prompts; None where it can."""
    if gemma.kind != "gemma4_unified":
        return None
    return UsageError(
        f"{option}: {origin} is LTX-2.5's Gemma 4, which encodes prompts and can't write them",
        remedy="name a Gemma 3 or an instruct Gemma 4 with --prompt-enhancer-gemma-root, "
        "or leave --enhance-prompt out",
    )


def _unfit_family(
    gemma: GemmaRoot, able: Abilities, others: Sequence[Abilities], origin: str
) -> PatcherError | None:
    if not abilities.loaded_with(able, gemma.family):
        offering = [other for other in others if abilities.loaded_with(other, gemma.family)]
        return UsageError(
            f"{origin} is {gemma.name}, and base {able.base} loads nothing that goes with it",
            remedy=f"give Gemma 3 12B{_or_base(offering)}; {_GOES_WITH}",
        )
    if gemma.packed and not able.takes_packed_files:
        offering = [other for other in others if other.takes_packed_files]
        return UsageError(
            f"{origin} is a Gemma packed into one file, which base {able.base} can't open",
            remedy=f"give the folder of a downloaded Gemma{_or_base(offering)}",
        )
    return None


def _unfit_files(
    gemma: GemmaRoot, flag: GemmaFlag | None, able: Abilities, origin: str
) -> PatcherError | None:
    if gemma.faults:
        return InvalidError(
            f"{origin}: {_some(gemma.faults)}",
            remedy="download it again; `ltx2-patcher inspect` lists what is wrong",
        )
    needed = abilities.needed_beside_gemma(able, gemma)
    if lacking := [name for name in needed if name not in gemma.beside]:
        return InvalidError(
            f"{origin} lacks {', '.join(lacking)}, which base {able.base} reads beside the shards",
            remedy=f"copy {'it' if len(lacking) == 1 else 'them'} there from "
            f"{PAGES[gemma.family]}, or {root_from(origin, gemma.family)}",
        )
    if gemma.missing and all(name.startswith(_VISION) for name in gemma.missing):
        return InvalidError(
            f"{origin} lacks its vision tower ({_some(gemma.missing)})",
            remedy=root_from(origin, gemma.family),
        )
    if gemma.missing:
        return InvalidError(
            f"{origin} lacks {_some(gemma.missing)}",
            remedy="download it again, whole, from the model's own page",
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
    if (
        gemma.newer_layout
        and gemma.quantization is None
        and flag is None
        and not able.takes_any_gemma_names
    ):
        return UsageError(
            f"{origin} names its tensors as newer transformers do, which upstream can't load plain",
            remedy="give --gemma-8bit or --gemma-4bit, which take either naming",
        )
    return None


_VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_embedder.", "model.embed_")
_NVFP4 = "nvfp4-prequant"


def refusal_of_codes(
    checkpoint: Checkpoint, quantization: str | None, way: str, able: Abilities
) -> PatcherError | None:
    """Why the weights of a prequantized checkpoint would not be taken for what they are; None where
    they would.

    nvfp4's are read by upstream's own flag for such a file alone. `way` is how the base is asked
    for fp8-cast: "--enable-fp8". Where neither upstream nor a patch that is in reads scales, noise
    is rendered (LTX-2 issue 193).
    """
    if checkpoint.precision == NVFP4 and quantization != _NVFP4:
        return UsageError(
            f"the checkpoint's weights are nvfp4, which is read only with --quantization {_NVFP4}",
            remedy=f"add --quantization {_NVFP4}, on a base that offers it (1.2.0), or give the "
            "bf16 checkpoint",
        )
    if checkpoint.precision in INT8 and quantization != "int8":
        return UsageError(
            "the checkpoint's weights are int8, which is read only with --quantization int8",
            remedy="add --quantization int8",
        )
    if checkpoint.precision == FP8 and quantization is None and not able.widens_fp8:
        return UsageError(
            f"the checkpoint's weights are fp8, and base {able.base} can't compute with them plain",
            remedy=f"add {way}",
        )
    if checkpoint.precision != FP8_SCALED:
        return None
    if quantization is None:
        return UsageError(
            f"the checkpoint's fp8 weights have scales, which count only with {way}",
            remedy=f"add {way}",
        )
    if quantization == "fp8-cast" and not able.folds_scales:
        return ConflictError(
            "the checkpoint's fp8 weights have scales, and the patch for these is not in",
            remedy=abilities.whole_series(able),
        )
    return None


def refusal_of_pair(checkpoint: Checkpoint, gemma: GemmaRoot) -> PatcherError | None:
    """Why the checkpoint can't take this Gemma's output; None where it can."""
    if gemma.family != abilities.gemma_of(checkpoint.generation):
        return ConflictError(
            f"{gemma.name} does not go with {checkpoint.variant}",
            remedy=f"give the Gemma it was trained with: {_GOES_WITH}",
        )
    # In a split model the text projection lies beside Gemma.
    taken = checkpoint.context_width or gemma.projection_width
    if taken is None:
        return ConflictError(
            "neither the transformer nor the Gemma holds the text projection",
            remedy="give the text encoder that is published beside the transformer, in one file",
        )
    if taken != gemma.context_width:
        return ConflictError(
            f"the checkpoint's text projection takes {taken} values a token, "
            f"this Gemma ({gemma.size}) gives {gemma.context_width}",
            remedy=f"give the Gemma it was trained with: {_GOES_WITH}",
        )
    if checkpoint.gemma_version is not None and checkpoint.gemma_version != gemma.version:
        return ConflictError(
            f"the checkpoint was trained with Gemma {checkpoint.gemma_version!a}, "
            f"this one says it is {gemma.version!a}",
            remedy="give the text encoder that is published beside the checkpoint",
        )
    return None


UPSAMPLERS = {"--spatial-upsampler-path": (2.0, 1.0), "--temporal-upsampler-path": (1.0, 2.0)}
"""By what the pipelines let it multiply space and time: they start at half the size."""


def refusal_of_scale(upsampler: Upsampler, option: str, origin: str) -> PatcherError | None:
    """Why it is not the kind of upsampler that the option takes; None where it is."""
    space, time = UPSAMPLERS[option]
    if (upsampler.space, upsampler.time) == (space, time):
        return None
    wanted = replace(upsampler, space=space, time=time)
    return UsageError(
        f"{option}: {origin} upsamples {upsampler.scale}, and the pipelines take {wanted.scale}",
        remedy="give the upsampler that is published for that",
    )


def refusal_of_upsampler(
    checkpoint: Checkpoint, upsampler: Upsampler, origin: str
) -> PatcherError | None:
    """Why the upsampler can't take the checkpoint's latents; None where it can, or where its file
    does not tell.
    """
    if upsampler.generation in {None, checkpoint.generation}:
        return None
    return ConflictError(
        f"{origin} is the upsampler of {upsampler.generation}, which does not go with "
        f"{checkpoint.variant}",
        remedy=f"give the upsampler that is published beside {checkpoint.generation}",
    )


def _or_base(others: Sequence[Abilities]) -> str:
    return f", or base {' or '.join(one.base for one in others)}" if others else ""


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
