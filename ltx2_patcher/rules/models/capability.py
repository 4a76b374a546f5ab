"""Which ways of computing the transformer a card can take, told by its compute capability."""

from __future__ import annotations

from collections.abc import Sequence

from ltx2_patcher.values.errors import PatcherError, UsageError

_SINCE = {
    # Triton 3.6 compiles int8 products for Ampere and newer (ltx_core/int8/tiles.py, LOWEST).
    "int8": (8, 0),
    # torch._scaled_mm and tensorrt_llm's cublas_scaled_mm multiply in fp8: Ada and newer.
    "fp8-scaled-mm": (8, 9),
    # ltx_kernels.nvfp4 of upstream 400fd31 multiplies in FP4: datacenter Blackwell and newer.
    "nvfp4-cast": (10, 0),
    "nvfp4-prequant": (10, 0),
}


def needs_capability(quantization: str | None) -> bool:
    """Whether some card of those that upstream runs on can't take it."""
    return quantization in _SINCE


def refusal_of_cards(
    quantization: str | None, cards: Sequence[tuple[str, tuple[int, int]]]
) -> PatcherError | None:
    """Why none of the cards, (name, compute capability), can compute so; None where one can, or
    where there is none.

    Upstream asks only when it multiplies for the first time, with all models loaded before.
    """
    since = _SINCE.get(quantization or "")
    if since is None or not cards or any(capability >= since for _, capability in cards):
        return None
    name, found = max(cards, key=lambda card: card[1])
    return UsageError(
        f"--quantization {quantization} needs compute capability {since[0]}.{since[1]} or newer, "
        f"and {name} has {found[0]}.{found[1]}",
        remedy="give --quantization fp8-cast, which computes in bf16",
    )
