"""The weights of a request that stay in host memory: what that holds of them, and whether the card
has room for what it does itself.
"""

from __future__ import annotations

from ltx2_patcher.boundaries.copies import shared_bytes
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.target import Target
from ltx2_patcher.rules.models.budget import FULL_SIZE_ELEMENTS
from ltx2_patcher.rules.models.parked_advice import caution_of_disk
from ltx2_patcher.rules.models.parked_host import HostShare, refusal_of_host, room_of, weights_of
from ltx2_patcher.rules.models.parked_need import (
    budget_of,
    caution_of_budget,
    caution_of_free_memory,
    refusal_of_budget,
)
from ltx2_patcher.rules.models.workload import workload_of
from ltx2_patcher.values.errors import refuse
from ltx2_patcher.values.finding import Finding, told
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint


def check_parking(
    request: Request, checkpoint: Checkpoint, target: Target, looked: Looked
) -> tuple[HostShare | None, tuple[Finding, ...]]:
    """What host memory holds of parked weights, and what is told of the rest and of the card."""
    if request.vram_budget is None:
        return None, ()
    encoder = request.text_encoder
    gemma = None if encoder is None else looked.gemma(encoder[1])
    free = looked.memory().available_bytes
    if request.weights_folder is not None:
        free += shared_bytes(request.weights_folder)  # what others hold takes no more
    weights = weights_of(request, checkpoint, gemma)
    share = HostShare(weights, room_of(request.host_budget, free))
    refuse(refusal_of_host(share, free))
    warnings = told(caution_of_disk(request, checkpoint, gemma, share))
    return share, warnings + _check_card(request, checkpoint, target)


def _check_card(request: Request, checkpoint: Checkpoint, target: Target) -> tuple[Finding, ...]:
    """The budget is there, and enough for a model that is as large as those that were measured."""
    if request.vram_budget is None or not target.gpus:
        return ()
    gpu = target.gpus[0]  # which CUDA takes
    budget = budget_of(request.vram_budget, gpu.free_bytes)
    warnings = told(caution_of_free_memory(budget, gpu.free_bytes))
    of_open_length = target.pipeline.tells_length and request.frames is None
    if of_open_length or checkpoint.elements_of("transformer") < FULL_SIZE_ELEMENTS:
        return warnings
    given = (workload_of(target.pipeline, request), checkpoint.generation, budget, target.needs)
    refuse(refusal_of_budget(*given))
    return warnings + told(caution_of_budget(*given))
