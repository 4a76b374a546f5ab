"""What goes with --vram-budget, which keeps weights in host memory, and what it takes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.rules.models.abilities import nearest, whole_series
from ltx2_patcher.rules.models.budget import NF4_BITS
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, OutsideError, PatcherError, UsageError
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

_RESIDENT = {"capture=true", "capture=1", "mode=reduce-overhead", "mode=max-autotune"}
_HOST_SPARE_BYTES = 4 * GIB  # for the process itself, and for a file's pages while it is read


class HostTooSmall(OutsideError):
    """The weights of a request can't stay in host memory; without --vram-budget they need not."""


def refusal_of_parking(
    pipeline: Pipeline, request: Request, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why this request can't keep its weights in host memory; None where it can, or does not."""
    if request.vram_budget is None:
        return None
    if not able.parks_weights:
        return _not_here(able, others)
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} runs on several GPUs, and --vram-budget is of one",
            remedy=f"run {pipeline.name.removesuffix('_mgpu')} on one GPU, or leave it out",
        )
    if request.offload is not None:
        return UsageError(
            "--vram-budget does what --offload does, and more", remedy="leave --offload out"
        )
    compilation = next((values for name, values in request.others if name == "--compile"), ())
    if odd := [str(value) for value in compilation if str(value).lower() in _RESIDENT]:
        return UsageError(
            f"--vram-budget moves weights, which --compile {odd[0]} can't follow",
            remedy="give --compile without it",
        )
    return None


def refusal_of_batch(
    pipeline: Pipeline, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why no process goes from one clip of the pipeline to the next; None where one does."""
    if not able.parks_weights:
        return _not_here(able, others, "--batch", "run a clip at a time")
    if pipeline.several_gpus:
        return UsageError(
            f"{pipeline.name} runs on several GPUs, and --batch keeps one process",
            remedy=f"run {pipeline.name.removesuffix('_mgpu')} on one GPU, or a clip at a time",
        )
    if "--output-path" not in pipeline.options:
        return UsageError(
            f"{pipeline.name} makes no clip: it has no --output-path",
            remedy="run it without --batch",
        )
    return None


@dataclass(frozen=True, slots=True)
class Parking:
    """The flags with which weights wait in host memory, and what they take there."""

    flags: tuple[str, ...]
    host_bytes: int


def advised_parking(
    checkpoint: Checkpoint, gemma: GemmaRoot, cast: tuple[str, ...], free_bytes: int
) -> Parking | None:
    """The least lossy flags whose weights so much free host memory holds; None where none do.

    `cast` are those of fp8-cast; a quantized Gemma comes last: it changes a clip the most.
    """
    plain = Request(pipeline="")
    ways: list[tuple[tuple[str, ...], Request]] = [
        ((), plain),
        (cast, replace(plain, quantization="fp8-cast")),
    ]
    if not gemma.quantization:
        both = replace(plain, quantization="fp8-cast", gemma="4bit")
        ways.append(((*cast, "--gemma-4bit"), both))
    if checkpoint.precision.startswith("fp8"):
        del ways[0]
    for flags, request in ways:
        needed = parked_bytes(request, checkpoint, gemma)
        if refusal_of_host(needed, free_bytes) is None:
            return Parking(("--vram-budget", "auto", *flags), needed)
    return None


def parked_bytes(request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None) -> int:
    """What the models of a request take in host memory, each held as it computes.

    A distilled LoRA makes a second transformer, for the stage that it is of.
    """
    elements = sum(part.elements for part in checkpoint.components)
    transformer = checkpoint.elements_of("transformer")
    in_fp8 = request.quantization is not None or checkpoint.precision.startswith("fp8")
    transformer_bytes = transformer * 2 - (checkpoint.fp8_elements if in_fp8 else 0)
    stages = 2 if any(file.option == "--distilled-lora" for file in request.files) else 1
    rest = (elements - transformer) * 2
    return (
        transformer_bytes * stages + rest + (0 if gemma is None else _gemma_bytes(request, gemma))
    )


def _gemma_bytes(request: Request, gemma: GemmaRoot) -> int:
    if gemma.quantization:
        return gemma.bytes
    bits = {None: 16, "8bit": 8, "4bit": NF4_BITS}[request.gemma]
    return int(gemma.elements * 2 - gemma.linear_elements * (16 - bits) / 8)


def refusal_of_host(parked_bytes: int, available_bytes: int) -> PatcherError | None:
    """Why so many bytes of weights can't stay in host memory; None where they can."""
    if parked_bytes + _HOST_SPARE_BYTES <= available_bytes:
        return None
    return HostTooSmall(
        f"--vram-budget keeps {parked_bytes / GIB:.1f} GiB of weights in host memory, of which "
        f"{available_bytes / GIB:.1f} GiB are free",
        remedy="end what takes memory, take a smaller model (an fp8 checkpoint, a Gemma that is "
        "quantized already), or leave --vram-budget out",
    )


def _not_here(
    able: Abilities,
    others: Sequence[Abilities],
    option: str = "--vram-budget",
    instead: str = "leave it out",
) -> PatcherError:
    if any(other.base == able.base and other.parks_weights for other in others):
        return ConflictError(
            f"this tree holds the series of {able.base} without the group that {option} is of",
            remedy=whole_series(able),
        )
    better = nearest(able, others, "parks-weights")
    return UsageError(
        f"base {able.base} has no {option}",
        remedy=instead + ("" if better is None else f", or take base {better.base}"),
    )
