"""The card that a request is held to: it is free, and holds the request."""

from __future__ import annotations

from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.target import Budget, Target
from ltx2_patcher.rules.models.budget import (
    FULL_SIZE_ELEMENTS,
    Capacity,
    savings_of,
    transformer_needs,
)
from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, Card, free_card, whole_card
from ltx2_patcher.rules.models.forecast import require_fit
from ltx2_patcher.rules.models.measured import of_base
from ltx2_patcher.rules.models.parked_advice import caution_of_card
from ltx2_patcher.rules.models.workload import sized_as, workload_of
from ltx2_patcher.values.errors import OutsideError, UsageError
from ltx2_patcher.values.finding import Finding, told
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint


def require_room(gpu: Gpu | None, card: Card) -> Gpu:
    """The GPU, where such a card's memory is free on it. Raises: OutsideError."""
    if gpu is None:
        raise OutsideError(
            "there is no GPU that a budget could be held on",
            remedy="use a machine with one; without --budget, seconds and host memory are measured",
        )
    if gpu.total_bytes < card.usable_bytes:
        raise OutsideError(
            f"{gpu.name} has {gpu.total_bytes / GIB:.1f} GiB, less than a card of {card.name}",
            remedy=f"give --budget {whole_card(gpu.total_bytes).name}",
        )
    if gpu.free_bytes < card.allocator_bytes + CONTEXT_BYTES:
        held = gpu.total_bytes - gpu.free_bytes
        raise OutsideError(
            f"other processes hold {held / GIB:.1f} GiB of {gpu.name}, and the "
            f"{gpu.free_bytes / GIB:.1f} GiB left are less than a card of {card.name} offers",
            remedy="end them (`nvidia-smi` lists them), or give a smaller --budget",
        )
    return gpu


def check_card(
    request: Request, target: Target, checkpoint: Checkpoint, looked: Looked
) -> tuple[Finding, ...]:
    """What is told of a card too small for models that the base could park, and that are not."""
    options = target.pipeline.options
    if (
        request.vram_budget is not None
        or request.offload is not None
        or target.budget is not None
        or target.pipeline.several_gpus
        or not target.gpus
        or "--vram-budget" not in options
        or checkpoint.elements_of("transformer") < FULL_SIZE_ELEMENTS
    ):
        return ()
    encoder, gpu = request.text_encoder, target.gpus[0]  # the one that CUDA takes
    gemma = None if encoder is None else looked.gemma(encoder[1])
    card = free_card(gpu.total_bytes, gpu.free_bytes)
    capacity = Capacity(card, looked.memory().available_bytes)
    return told(caution_of_card(request, checkpoint, gemma, capacity, savings_of(options)))


def check_budget(
    request: Request, target: Target, budget: Budget, checkpoint: Checkpoint | None
) -> None:
    """Told by what was measured, for a model of that size; else by what the headers say.

    What a parked run takes is told in `parking`.
    """
    card = budget.card
    require_room(budget.gpu, card)
    if checkpoint is None or budget.may_exceed or request.vram_budget is not None:
        return
    if checkpoint.elements_of("transformer") >= FULL_SIZE_ELEMENTS:
        known = of_base(budget.measured, target.abilities.base)
        require_fit(workload_of(target.pipeline, request), card, known)
    for need in transformer_needs(checkpoint, savings_of(target.pipeline.options)):
        held = (need.quantization, need.offload)
        if (
            held == (sized_as(request.quantization), request.offload)
            and need.bytes > card.usable_bytes
        ):
            raise UsageError(
                f"{need.stage} with {' '.join(need.flags) or 'no flags'} takes about "
                f"{need.bytes / GIB:.1f} GiB, and a card of {card.name} has "
                f"{card.usable_bytes / GIB:.1f} to use",
                remedy="add --quantization fp8-cast, or --offload cpu where upstream has it",
            )
