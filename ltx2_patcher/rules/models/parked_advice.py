"""Which flags go with --vram-budget: the least lossy whose weights host memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ltx2_patcher.rules.models.parked_host import HostShare, shortage_of, weights_of
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.request import GemmaFlag, Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

_CAST = "fp8-cast"
_READ_BYTES_A_S = 3 * 10**9
"""What a mapped file gives: one thread 3.4 GB/s from the page cache, NVMe disks 1.3 to 5."""


@dataclass(frozen=True, slots=True)
class Parking:
    """Flags beside --vram-budget, and what host memory holds of the weights with them."""

    flags: tuple[str, ...]
    share: HostShare


def parkings(
    request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None, room_bytes: int
) -> Iterator[Parking]:
    """Every way to hold the request's weights, the least lossy first.

    Gemma in few bits changes a clip more than the transformer in 8 does, so that comes last.
    """
    cast = request.quantization or _CAST
    ways: list[tuple[str | None, GemmaFlag | None]] = [(cast, None)]
    if not checkpoint.precision.startswith("fp8"):
        ways.insert(0, (None, None))
    if gemma is not None and not gemma.quantization:
        ways += [(cast, "8bit"), (cast, "4bit")]
    for quantization, bits in ways:
        held = replace(request, quantization=quantization, gemma=bits)
        flags = [*(("--quantization", quantization) if quantization else ())]
        flags += [f"--gemma-{bits}"] if bits else []
        yield Parking(tuple(flags), HostShare(weights_of(held, checkpoint, gemma), room_bytes))


def advised_parking(
    request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None, room_bytes: int
) -> Parking:
    """The least lossy way whose weights all have room, else the one that takes the least."""
    ways = list(parkings(request, checkpoint, gemma, room_bytes))
    return next((way for way in ways if not way.share.on_disk_bytes), ways[-1])


def caution_of_disk(
    request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None, share: HostShare
) -> Finding | None:
    """That weights are read from disk again and again; None where host memory holds them all."""
    if not share.on_disk_bytes:
        return None
    fact = (
        f"{shortage_of(share)}: each step reads up to {in_words(share.read_bytes)} again, as fast "
        f"as the disk reads ({share.read_bytes / _READ_BYTES_A_S:.1f} s at 3 GB/s, reckoned)"
    )
    lighter = advised_parking(request, checkpoint, gemma, share.room_bytes)
    remedy = f"let them take {in_words(share.on_disk_bytes)} more of host memory"
    if lighter.share.weights.bytes < share.weights.bytes:
        less = lighter.share.on_disk_bytes
        left = f"with which {in_words(less)} have none" if less else "with which all have room"
        remedy += f", or give {' '.join(lighter.flags)}, {left}"
    return Finding("parked weights", Level.WARNING, fact, remedy)
