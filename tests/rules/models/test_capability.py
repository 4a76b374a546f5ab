"""A card that can't multiply in fp8 or FP4 is told so before anything is loaded."""

from __future__ import annotations

import pytest

from ltx2_patcher.rules.models.capability import needs_capability, refusal_of_cards
from ltx2_patcher.values.errors import UsageError

RTX_2080, RTX_3090, RTX_4090 = ("RTX 2080", (7, 5)), ("RTX 3090", (8, 6)), ("RTX 4090", (8, 9))
B200 = ("B200", (10, 0))


@pytest.mark.parametrize(
    ("quantization", "too_old", "enough"),
    [
        ("int8", RTX_2080, RTX_3090),
        ("fp8-scaled-mm", RTX_3090, RTX_4090),
        ("nvfp4-cast", RTX_4090, B200),
        ("nvfp4-prequant", RTX_4090, B200),
    ],
)
def test_a_card_below_what_multiplies_so_is_refused(
    quantization: str, too_old: tuple[str, tuple[int, int]], enough: tuple[str, tuple[int, int]]
) -> None:
    assert needs_capability(quantization)
    assert refusal_of_cards(quantization, [enough]) is None
    assert refusal_of_cards(quantization, [too_old, enough]) is None  # the script takes its own
    assert refusal_of_cards(quantization, []) is None  # on a CPU upstream says it itself
    error = refusal_of_cards(quantization, [RTX_2080, too_old])
    assert isinstance(error, UsageError)
    major, minor = too_old[1]
    assert str(error).endswith(f"and {too_old[0]} has {major}.{minor}")
    assert "fp8-cast" in error.remedy


@pytest.mark.parametrize("quantization", [None, "fp8-cast"])
def test_what_computes_in_bf16_runs_on_any(quantization: str | None) -> None:
    assert not needs_capability(quantization)
    assert refusal_of_cards(quantization, [RTX_3090]) is None
