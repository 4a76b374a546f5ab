"""The files of a request's model, judged by their headers: they go together, and with the base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ltx2_patcher.boundaries.machine import mappable_bytes
from ltx2_patcher.jobs.models.inspect import described
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.target import Target
from ltx2_patcher.rules.models.budget import savings_of
from ltx2_patcher.rules.models.lora import (
    cautions_of_lora,
    refusal_of_layout,
    refusal_of_lora,
    refusal_of_rest,
)
from ltx2_patcher.rules.models.mapping import refusal_of_mapping
from ltx2_patcher.rules.models.options import LORAS
from ltx2_patcher.rules.models.pairing import (
    UPSAMPLERS,
    refusal_of_checkpoint,
    refusal_of_codes,
    refusal_of_encoder,
    refusal_of_enhancer,
    refusal_of_gemma,
    refusal_of_pair,
    refusal_of_part,
    refusal_of_scale,
    refusal_of_upsampler,
)
from ltx2_patcher.rules.models.precision import FP8
from ltx2_patcher.values.errors import UsageError, refuse
from ltx2_patcher.values.finding import Finding
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint, Lora, ModelPart, Upsampler


def checked_checkpoint(request: Request, target: Target, looked: Looked) -> Checkpoint:
    """The model of a request that names a transformer, which upstream can load."""
    name = str(request.transformer)
    checkpoint = looked.checkpoint(Path(name))
    if checkpoint.whole and "--video-vae-path" in request.parts:  # takes the place of its own
        missing = tuple(key for key in checkpoint.missing if not key.startswith("vae."))
        checkpoint = replace(checkpoint, missing=missing)
    refuse(refusal_of_checkpoint(checkpoint, target.abilities, target.others, name))
    refuse(refusal_of_mapping(checkpoint.bytes, mappable_bytes(), name))
    if request.checkpoint is not None and not checkpoint.whole:
        raise UsageError(
            f"{name} is the transformer of {checkpoint.variant} alone",
            remedy="give it with --transformer-path, beside the files of the other parts",
        )
    cast = " ".join(savings_of(target.pipeline.options).cast)
    refuse(refusal_of_codes(checkpoint, request.quantization, cast, target.abilities))
    return checkpoint


def check_loras(
    request: Request, checkpoint: Checkpoint, target: Target, looked: Looked
) -> tuple[Finding, ...]:
    """What the LoRAs will lack of their effect; each has some."""
    files = [file for file in request.files if file.option in LORAS]
    if not files:
        return ()
    transformer = Path(str(request.transformer))
    tensors, modules = looked.header(transformer).tensors, looked.modules(transformer)
    plain = checkpoint.precision == FP8 and request.quantization is None
    cast = " ".join(savings_of(target.pipeline.options).cast)
    warnings: list[Finding] = []
    for file in files:
        lora = looked.weights(file.path)
        if isinstance(lora, Lora):
            names, origin = target.lora_names, str(file.path)
            given = (lora, modules, names, checkpoint.variant, origin)
            refuse(refusal_of_lora(*given))
            refuse(refusal_of_layout(lora, modules, names, target.abilities, origin))
            if plain and file.numbers[:1] != (0,):  # of strength 0 it is left out
                refuse(refusal_of_rest(lora, tensors, names, cast, origin))
            warnings += cautions_of_lora(*given)
    return tuple(warnings)


def check_upsamplers(request: Request, checkpoint: Checkpoint, looked: Looked) -> None:
    """Each is of its option's kind, and takes the model's latents."""
    for file in request.files:
        if file.option not in UPSAMPLERS:
            continue
        if isinstance(upsampler := looked.weights(file.path), Upsampler):
            refuse(refusal_of_scale(upsampler, file.option, str(file.path)))
            refuse(refusal_of_upsampler(checkpoint, upsampler, str(file.path)))


def check_length(request: Request, target: Target, checkpoint: Checkpoint, looked: Looked) -> None:
    """Parts are whole, and one of them tells the length where the request does not."""
    for option, kind in _PART_KINDS.items():
        if (path := request.parts.get(option)) is None:
            continue
        part = looked.weights(path)
        # A whole checkpoint holds each part, so upstream takes it for any.
        if isinstance(part, Checkpoint) and part.whole:
            continue
        if not isinstance(part, ModelPart) or part.kind != kind:
            raise UsageError(
                f"{option}: {path} is {described(part)}", remedy="check which file goes where"
            )
        refuse(refusal_of_part(part, target.abilities, target.others, str(path)))
    has_head = "--duration-head-path" in request.parts or checkpoint.elements_of("duration head")
    if target.pipeline.tells_length and request.frames is None and not has_head:
        raise UsageError(
            f"{request.pipeline} needs --num-frames: {request.transformer} has no duration head to "
            "tell the clip's length",
            remedy="give --num-frames, for example 121",
        )


_PART_KINDS = {
    "--video-vae-path": "video VAE",
    "--audio-vae-path": "audio VAE",
    "--duration-head-path": "duration head",
}


def check_gemmas(request: Request, checkpoint: Checkpoint, target: Target, looked: Looked) -> bool:
    """Whether one of them is or will be quantized."""
    if request.text_encoder is None:
        return False
    option, path = request.text_encoder
    encoder = looked.gemma(path)
    able, others = target.abilities, target.others
    refuse(refusal_of_gemma(encoder, request.gemma, able, others, str(path)))
    refuse(refusal_of_encoder(encoder, str(path)))
    refuse(refusal_of_pair(checkpoint, encoder))
    gemmas = [encoder]
    if request.enhancer_root is not None:
        option, path = "--prompt-enhancer-gemma-root", request.enhancer_root
        gemmas.append(looked.gemma(path))
        refuse(refusal_of_gemma(gemmas[-1], request.gemma, able, others, str(path)))
    if request.enhances:
        refuse(refusal_of_enhancer(gemmas[-1], option, str(path)))
    return bool(request.gemma or any(gemma.quantization for gemma in gemmas))
