"""Which flags fit which card, from what the headers say of the weights.

Upstream loads the text encoder, the embeddings processor and the transformer one after the other
and frees each, so a card must hold the largest stage, not their sum. The allowances are for a clip
of 768x512 and 121 frames and a prompt of 1024 tokens; a larger or longer clip takes more.

With --offload, where upstream has it, the transformer's blocks stay in host memory or on disk and
pass through the card, two at a time; a quantized Gemma stays on the card, a plain one streams too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, Card
from ltx2_patcher.rules.models.forecast import usual_bytes
from ltx2_patcher.rules.models.measured import Measured
from ltx2_patcher.rules.models.workload import transformer_flags
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

Offload = Literal["cpu", "disk"]
_CAST = "fp8-cast"
FULL_SIZE_ELEMENTS = 10**10
"""Of a transformer: those that were measured have 19 billion; what is smaller is a test's."""

_ENCODE_BYTES = GIB
"""Encoding a prompt, over the text encoder's weights: 0.9 GiB measured with 4-bit weights."""

_DENOISE_BYTES = GIB * 3 // 2
"""Activations of a denoising step over the weights: 6144 video tokens, 16384 wide at most, and one
Linear brought back to bf16 by fp8-cast."""

NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""A weight in NF4 with double quantization: 4 bits, an 8-bit scale for each 64 weights, and a
32-bit scale for each 256 of those (QLoRA, arXiv 2305.14314, section 3)."""


_SLOTS = 2
"""Blocks on the card at a time (upstream 400fd31, block_streaming/builder.py)."""

_HOST_SPARE_BYTES = 6 * GIB
"""Of the available host memory: Python, torch and CUDA's pinned buffers, and a shard's pages."""


@dataclass(frozen=True, slots=True)
class Savings:
    """How a base's scripts are told to save memory."""

    cast: tuple[str, ...]  # keeps the transformer in fp8: ("--quantization", "fp8-cast")
    offloads: bool  # they have --offload


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is to run on."""

    card: Card
    host_bytes: int  # available


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage needs with one choice of flags."""

    stage: str
    flags: tuple[str, ...]
    bytes: int  # of the card's memory
    host_bytes: int = 0  # that must be available
    offload: Offload | None = None
    quantization: str | None = None  # of the transformer


@dataclass(frozen=True, slots=True)
class Advice:
    """The flags that fit a card, and what stands behind that."""

    usable_bytes: int
    needs: tuple[Need, ...]
    flags: tuple[str, ...] | None  # None where nothing fits

    @property
    def text(self) -> str:
        """The flags as they are typed."""
        if self.flags is None:
            return "no flags fit"
        return " ".join(self.flags) or "no flags needed"


def savings_of(options: frozenset[str]) -> Savings:
    """What a script with these options offers."""
    early = "--enable-fp8" in options  # until upstream's 28c3c73 of 2026-02-09
    cast = ("--enable-fp8",) if early else ("--quantization", "fp8-cast")
    return Savings(cast, "--offload" in options)


def advise(
    capacity: Capacity,
    savings: Savings,
    checkpoint: Checkpoint | None,
    gemma: GemmaRoot | None,
    known: Sequence[Measured] = (),
) -> Advice:
    """The flags with which each stage fits, the least lossy first.

    `known` is what was measured: where a model of that size was, it counts, not the estimate.

    Blocks that pass through the card lose nothing: where the host can hold them, that comes before
    fp8-cast; reading them from disk in each step comes last.
    """
    usable = capacity.card.usable_bytes - CONTEXT_BYTES

    def fits(need: Need) -> bool:
        return need.bytes <= usable and need.host_bytes <= capacity.host_bytes

    needs: dict[Need, None] = {}
    flags = None
    for denoising in _denoising(checkpoint, savings, known):
        for encoding in _encoding(gemma, denoising.offload):
            needs |= dict.fromkeys(n for n in (encoding, denoising) if n.stage)
            if flags is None and fits(denoising) and fits(encoding):
                flags = encoding.flags + denoising.flags
    return Advice(usable, tuple(sorted(needs, key=lambda n: n.stage, reverse=True)), flags)


def transformer_needs(checkpoint: Checkpoint, savings: Savings) -> list[Need]:
    """What denoising needs, from the best quality to the least memory.

    The video encoder, about half of the video VAE, stays loaded beside the transformer.
    """
    stage = "denoising"
    plain = checkpoint.elements_of("transformer") * 2
    cast = plain - checkpoint.fp8_elements
    beside = checkpoint.elements_of("video vae") + _DENOISE_BYTES  # half of it, 2 bytes each
    blocks = checkpoint.fp8_elements * 2
    passing = plain - blocks + blocks * _SLOTS // max(checkpoint.layers, 1) + beside
    needs = [
        Need(stage, (), plain + beside),
        Need(stage, _offload("cpu"), passing, plain + _HOST_SPARE_BYTES, "cpu"),
        Need(stage, savings.cast, cast + beside, quantization=_CAST),
        Need(
            stage, savings.cast + _offload("cpu"), passing, cast + _HOST_SPARE_BYTES, "cpu", _CAST
        ),
        Need(stage, _offload("disk"), passing, _HOST_SPARE_BYTES, "disk"),
    ]
    if checkpoint.precision.startswith("fp8"):
        # Without the flag upstream would bring it to bf16 for nothing.
        from_disk = savings.cast + _offload("disk")
        needs = [need for need in needs if need.quantization]
        needs.append(Need(stage, from_disk, passing, _HOST_SPARE_BYTES, "disk", _CAST))
    return [need for need in needs if savings.offloads or need.offload is None]


def gemma_needs(gemma: GemmaRoot, offload: Offload | None) -> list[Need]:
    """What encoding a prompt needs, from the best quality to the least memory.

    With `offload` a quantized Gemma spares the host the whole of it, so a plain one comes last.
    """
    stage = "text encoder"
    if gemma.quantization:  # loads as it is
        return [Need(stage, (), gemma.bytes + _ENCODE_BYTES)]
    plain = gemma.elements * 2
    rest = plain - gemma.linear_elements * 2
    nf4 = int(gemma.linear_elements * NF4_BITS / 8)
    quantized = [
        Need(stage, ("--gemma-8bit",), rest + gemma.linear_elements + _ENCODE_BYTES),
        Need(stage, ("--gemma-4bit",), rest + nf4 + _ENCODE_BYTES),
    ]
    if offload is None:
        return [Need(stage, (), plain + _ENCODE_BYTES), *quantized]
    passing = rest + gemma.linear_elements * 2 * _SLOTS // max(gemma.layers, 1)
    host = _HOST_SPARE_BYTES + (plain if offload == "cpu" else 0)
    streamed = Need(f"{stage} by --offload {offload}", (), passing + _ENCODE_BYTES, host)
    return [*quantized, streamed]


def _denoising(
    checkpoint: Checkpoint | None, savings: Savings, known: Sequence[Measured]
) -> list[Need]:
    if checkpoint is not None:
        return [_as_measured(n, checkpoint, known) for n in transformer_needs(checkpoint, savings)]
    offloads: tuple[Offload, ...] = ("cpu", "disk") if savings.offloads else ()
    return [Need("", (), 0), *(Need("", _offload(way), 0, 0, way) for way in offloads)]


def _as_measured(need: Need, checkpoint: Checkpoint, known: Sequence[Measured]) -> Need:
    if checkpoint.elements_of("transformer") < FULL_SIZE_ELEMENTS:
        return need
    held = transformer_flags(need.quantization, need.offload)
    took = usual_bytes(known, checkpoint.variant, held)
    return need if took is None else replace(need, bytes=took - CONTEXT_BYTES)


def _encoding(gemma: GemmaRoot | None, offload: Offload | None) -> list[Need]:
    return [Need("", (), 0)] if gemma is None else gemma_needs(gemma, offload)


def _offload(way: Offload) -> tuple[str, ...]:
    return ("--offload", way)
