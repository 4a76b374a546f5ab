"""Which flags fit which card, from what the headers say of the weights.

Upstream loads the text encoder, the embeddings processor and the transformer one after the other
and frees each, so a card must hold the largest stage, not their sum. The allowances are for a clip
of 768x512 and 121 frames and a prompt of 1024 tokens; a larger or longer clip takes more.
"""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

GIB = 1 << 30

_UNSEEN_BYTES = GIB * 8 // 10
"""What a card has and torch can't allocate: of 24.0 GiB an RTX 3090 shows torch 23.7, and the CUDA
context takes 0.5."""

_ENCODE_BYTES = GIB
"""Encoding a prompt, over the text encoder's weights: 0.9 GiB measured with 4-bit weights."""

_DENOISE_BYTES = GIB * 3 // 2
"""Activations of a denoising step over the weights: 6144 video tokens, 16384 wide at most, and one
Linear brought back to bf16 by fp8-cast."""

_NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""A weight in NF4 with double quantization: 4 bits, an 8-bit scale for each 64 weights, and a
32-bit scale for each 256 of those (QLoRA, arXiv 2305.14314, section 3)."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage needs with one choice of flags."""

    stage: str
    flags: tuple[str, ...]
    bytes: int


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


def advise(card_bytes: int, checkpoint: Checkpoint | None, gemma: GemmaRoot | None) -> Advice:
    """The least lossy flags with which each stage fits a card of `card_bytes`."""
    usable = card_bytes - _UNSEEN_BYTES
    choices: list[list[Need]] = []
    if gemma is not None:
        choices.append(gemma_needs(gemma))
    if checkpoint is not None:
        choices.append(transformer_needs(checkpoint))
    flags: list[str] = []
    for needs in choices:
        fitting = next((need for need in needs if need.bytes <= usable), None)
        if fitting is None:
            return Advice(usable, tuple(n for needs in choices for n in needs), None)
        flags += fitting.flags
    return Advice(usable, tuple(n for needs in choices for n in needs), tuple(flags))


def gemma_needs(gemma: GemmaRoot) -> list[Need]:
    """What encoding a prompt needs, from the best quality to the least memory."""
    stage = "text encoder"
    if gemma.quantization:  # loads as it is
        return [Need(stage, (), gemma.bytes + _ENCODE_BYTES)]
    elements = sum(part.elements for part in gemma.components)
    rest = (elements - gemma.linear_elements) * 2
    nf4 = int(gemma.linear_elements * _NF4_BITS / 8)
    return [
        Need(stage, (), elements * 2 + _ENCODE_BYTES),
        Need(stage, ("--gemma-8bit",), rest + gemma.linear_elements + _ENCODE_BYTES),
        Need(stage, ("--gemma-4bit",), rest + nf4 + _ENCODE_BYTES),
    ]


def transformer_needs(checkpoint: Checkpoint) -> list[Need]:
    """What denoising needs, from the best quality to the least memory.

    The video encoder, about half of the video VAE, stays loaded beside the transformer.
    """
    elements = checkpoint.elements_of("transformer")
    beside = checkpoint.elements_of("video vae") + _DENOISE_BYTES  # half of it, 2 bytes each
    stage = "denoising"
    cast = Need(
        stage,
        ("--quantization", "fp8-cast"),
        elements * 2 - checkpoint.fp8_elements + beside,
    )
    if checkpoint.precision.startswith("fp8"):
        return [cast]  # without the flag upstream would bring it to bf16 for nothing
    return [Need(stage, (), elements * 2 + beside), cast]
