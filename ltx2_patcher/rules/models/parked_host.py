"""What parked weights take of host memory, and what of them has no room there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ltx2_patcher.rules.models.budget import NF4_BITS
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.errors import OutsideError, PatcherError
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

SPARE_BYTES = 4 * GIB
"""Of free host memory, what --host-budget auto leaves to others and to the pages of files
(ltx_core.parked.host)."""
_PROCESS_BYTES = 2 * GIB  # what a run takes beside its weights (docs/memory.md)


@dataclass(frozen=True, slots=True)
class ParkedWeights:
    """The weights of a request's models, each held as it computes."""

    bytes: int
    transformer_bytes: int  # of one transformer, which passes through the card in each step


@dataclass(frozen=True, slots=True)
class HostShare:
    """What of a request's weights host memory holds."""

    weights: ParkedWeights
    room_bytes: int  # that they may take there

    @property
    def on_disk_bytes(self) -> int:
        """What has no room, and is read again wherever it is needed."""
        return max(self.weights.bytes - self.room_bytes, 0)

    @property
    def read_bytes(self) -> int:
        """What of that each denoising step reads, at most."""
        return min(self.on_disk_bytes, self.weights.transformer_bytes)


def weights_of(request: Request, checkpoint: Checkpoint, gemma: GemmaRoot | None) -> ParkedWeights:
    """What the models of a request take where they are parked.

    A distilled LoRA makes a second transformer, for the stage that it is of.
    """
    elements = sum(part.elements for part in checkpoint.components)
    transformer = checkpoint.elements_of("transformer")
    in_fp8 = request.quantization is not None or checkpoint.precision.startswith("fp8")
    transformer_bytes = transformer * 2 - (checkpoint.fp8_elements if in_fp8 else 0)
    stages = 2 if any(file.option == "--distilled-lora" for file in request.files) else 1
    rest = (elements - transformer) * 2
    gemma_bytes = 0 if gemma is None else _gemma_bytes(request, gemma)
    return ParkedWeights(transformer_bytes * stages + rest + gemma_bytes, transformer_bytes)


def room_of(host_budget: float | Literal["auto"] | None, available_bytes: int) -> int:
    """Bytes of host memory that weights may take, with so many free."""
    if host_budget is None or host_budget == "auto":
        return max(available_bytes - SPARE_BYTES, 0)
    return int(host_budget * GIB)


def refusal_of_host(share: HostShare, available_bytes: int) -> PatcherError | None:
    """Why the process can't live in so much free host memory; None where it can.

    Weights that have no room there are none: they are read from disk.
    """
    held = min(share.weights.bytes, share.room_bytes)
    if held + _PROCESS_BYTES <= available_bytes:
        return None
    remedy = "end what takes memory"
    if available_bytes >= _PROCESS_BYTES:
        remedy = f"give --host-budget auto, or {remedy}"
    return OutsideError(
        f"{in_words(held)} of weights and {in_words(_PROCESS_BYTES)} for the process are more than "
        f"the {in_words(available_bytes)} of host memory that are free",
        remedy=remedy,
    )


def shortage_of(share: HostShare) -> str:
    """What of the weights has no room, in words."""
    return (
        f"{in_words(share.on_disk_bytes)} of {in_words(share.weights.bytes)} of weights have no "
        f"room in host memory, where they may take {in_words(share.room_bytes)}"
    )


def _gemma_bytes(request: Request, gemma: GemmaRoot) -> int:
    if gemma.quantization:
        return gemma.bytes
    bits = {None: 16, "8bit": 8, "4bit": NF4_BITS}[request.gemma]
    return int(gemma.elements * 2 - gemma.linear_elements * (16 - bits) / 8)
