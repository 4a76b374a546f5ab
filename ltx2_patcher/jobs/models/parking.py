"""The weights of a request that stay in host memory: what of them that holds."""

from __future__ import annotations

from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.rules.models.parked_advice import caution_of_disk
from ltx2_patcher.rules.models.parked_host import HostShare, refusal_of_host, room_of, weights_of
from ltx2_patcher.values.errors import refuse
from ltx2_patcher.values.finding import Finding, told
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint


def check_parking(
    request: Request, checkpoint: Checkpoint, looked: Looked
) -> tuple[HostShare | None, tuple[Finding, ...]]:
    """What host memory holds of parked weights, and what is told of the rest."""
    if request.vram_budget is None:
        return None, ()
    encoder = request.text_encoder
    gemma = None if encoder is None else looked.gemma(encoder[1])
    free = looked.memory().available_bytes
    weights = weights_of(request, checkpoint, gemma)
    share = HostShare(weights, room_of(request.host_budget, free))
    refuse(refusal_of_host(share, free))
    return share, told(caution_of_disk(request, checkpoint, gemma, share))
