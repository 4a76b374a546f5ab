"""Which flags go with --vram-budget: the least lossy whose weights host memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ltx2_patcher.rules.models.budget import (
    Capacity,
    Savings,
    advise,
    gemma_needs,
    transformer_needs,
)
from ltx2_patcher.rules.models.card import CONTEXT_BYTES
from ltx2_patcher.rules.models.link import Link
from ltx2_patcher.rules.models.measured import Measured
from ltx2_patcher.rules.models.parked_host import HostShare, room_of, shortage_of, weights_of
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.request import GemmaFlag, Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

_CAST = "fp8-cast"
_BITS: tuple[GemmaFlag, ...] = ("8bit", "4bit")  # the less lossy first
_READ_BYTES_A_S = 3 * 10**9
"""What a mapped file gives: one thread 3.4 GB/s from the page cache, NVMe disks 1.3 to 5."""


@dataclass(frozen=True, slots=True)
class Parking:
    """Flags beside --vram-budget, and what host memory holds of the weights with them."""

    flags: tuple[str, ...]
    share: HostShare

    @property
    def words(self) -> tuple[str, ...]:
        """All that is typed."""
        return ("--vram-budget", "auto", *self.flags)


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
        ways += [(cast, bits) for bits in _BITS]
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


def advised_flags(
    capacity: Capacity,
    savings: Savings,
    checkpoint: Checkpoint,
    gemma: GemmaRoot | None,
    known: Sequence[Measured] = (),
) -> tuple[str, ...]:
    """The least lossy flags for a card and a host: with --vram-budget, or for the card alone.

    Where both lose as little weights are parked, unless the card needs no flag at all. Where host
    memory has no room for them and the card none for a whole model, the rest waits on disk.
    """
    room = room_of(None, capacity.host_bytes)
    parked = advised_parking(Request(pipeline=""), checkpoint, gemma, room)
    held = advise(capacity, replace(savings, offloads=False), checkpoint, gemma, known).flags
    if held is not None and (
        not held or parked.share.on_disk_bytes or _loss(held) < _loss(parked.flags)
    ):
        return held
    return parked.words


def _loss(flags: Sequence[str]) -> tuple[int, int]:
    """How much flags change a clip: Gemma's bits first."""
    gemma = next((n for n, bits in enumerate(_BITS, 1) if f"--gemma-{bits}" in flags), 0)
    return gemma, int("--quantization" in flags)


def expected(share: HostShare, kept_bytes: int | None, link: Link | None) -> str:
    """What a step of a parked run takes, in words; `kept_bytes` of the transformer stay on the
    card, None where that is not known.
    """
    passing = max(share.weights.transformer_bytes - (kept_bytes or 0), 0)
    if not passing:
        return "the transformer stays on the card"
    most, least = ("up to ", "up to") if kept_bytes is None else ("", "at least")
    fact = f"{most}{in_words(passing)} pass through the card in each step"
    if link is None:
        return fact
    return f"{fact}, {least} {passing / link.bytes_a_s:.1f} s by {link.name} (reckoned)"


def caution_of_card(
    request: Request,
    checkpoint: Checkpoint,
    gemma: GemmaRoot | None,
    capacity: Capacity,
    savings: Savings,
) -> Finding | None:
    """That the card can't hold a model as it was asked for, and what does; None where it can.

    It is for requests whose weights are neither parked nor offloaded.
    """
    wanted = _CAST if request.quantization else None
    bits = (f"--gemma-{request.gemma}",) if request.gemma else ()
    needs = [
        need
        for need in transformer_needs(checkpoint, savings)
        if (need.quantization, need.offload) == (wanted, None)
    ]
    if gemma is not None:
        needs += [need for need in gemma_needs(gemma, None) if need.flags == bits]
    usable = capacity.card.usable_bytes - CONTEXT_BYTES
    large = [need for need in needs if need.bytes > usable]
    if not large:
        return None
    most = max(large, key=lambda need: need.bytes)
    return Finding(
        "card's memory",
        Level.WARNING,
        f"{most.stage} takes about {in_words(most.bytes)} of the card, of which torch can use "
        f"{in_words(usable)}",
        f"give {' '.join(advised_flags(capacity, savings, checkpoint, gemma))}",
    )


def caution_of_disk(
    request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None, share: HostShare
) -> Finding | None:
    """That weights are read from disk again and again; None where host memory holds them all."""
    if not share.on_disk_bytes:
        return None
    lighter = advised_parking(request, checkpoint, gemma, share.room_bytes)
    remedy = f"let them take {in_words(share.on_disk_bytes)} more of host memory"
    if lighter.share.weights.bytes < share.weights.bytes:
        less = lighter.share.on_disk_bytes
        left = f"with which {in_words(less)} have none" if less else "with which all have room"
        remedy += f", or give {' '.join(lighter.flags)}, {left}"
    return Finding("parked weights", Level.WARNING, read_again(share), remedy)


def read_again(share: HostShare) -> str:
    """What has no room in host memory, and what that costs, in words."""
    return (
        f"{shortage_of(share)}: each step reads up to {in_words(share.read_bytes)} again, as fast "
        f"as the disk reads ({share.read_bytes / _READ_BYTES_A_S:.1f} s at 3 GB/s, reckoned)"
    )
