"""What the campaigns of int8 products judge on a card, told of figures that are made up."""

from typing import Any

import pytest
import torch

from verify.campaigns import int8, int8_resources, int8_step
from verify.campaigns.random_transformer import modalities, transformer
from verify.synthetic.architecture import Variant

ROWS: dict[str, Any] = {"codes_other": 0.001, "scales_apart": 0.0, "ways_equal": True}
GOOD: dict[str, Any] = {
    int8.RIGHT: {
        "products": [{"sums_equal": True, "bf16_steps": 0.5}],
        "rows": [
            {**ROWS, "group": None, "gelu": False, "codes_apart": 0},
            {**ROWS, "group": 256, "gelu": True, "codes_apart": 1, "scales_apart": 0.004},
        ],
        "odd_values": {"group 256": True},
    },
    "1536 tokens": {"ms": {"int8": 1.0, "fp8_cast": 1.8, "bf16": 1.4}},
    "24576 tokens": {"ms": {"int8": 1.0, "fp8_cast": 1.6, "bf16": 1.4}},
    int8.STEP: {"s": {"bf16": 1.0, "fp8_cast": 1.4, "int8": 1.0}},
    int8.MEMORY: {"fp8_cast_bytes": 1 << 30, "int8_bytes": (1 << 30) + (300 << 20)},
}


def test_what_holds_is_no_failure() -> None:
    assert int8.failures(GOOD) == []


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("6144 tokens", {"ms": {"int8": 1.0, "fp8_cast": 1.79, "bf16": 1.4}}),
        ("24576 tokens", {"ms": {"int8": 1.0, "fp8_cast": 1.6, "bf16": 1.39}}),
        (int8.MEMORY, {"fp8_cast_bytes": 1 << 30, "int8_bytes": (1 << 30) + (308 << 20)}),
        (int8.STEP, {"s": {"bf16": 2.0, "fp8_cast": 1.39, "int8": 1.0}}),
        (int8.TILES, {"failure": "its process ended with 1"}),
        (int8.RIGHT, {**GOOD[int8.RIGHT], "odd_values": {"group 256": False}}),
        (int8.RIGHT, {**GOOD[int8.RIGHT], "products": [{"sums_equal": False, "bf16_steps": 0.5}]}),
        (
            int8.RIGHT,
            {**GOOD[int8.RIGHT], "products": [{"sums_equal": True, "bf16_steps": float("nan")}]},
        ),
        (
            int8.RIGHT,
            {
                **GOOD[int8.RIGHT],
                "rows": [{**ROWS, "group": None, "gelu": False, "codes_apart": 1}],
            },
        ),
        (
            int8.RIGHT,
            {
                **GOOD[int8.RIGHT],
                "rows": [
                    {**ROWS, "group": 256, "gelu": True, "codes_apart": 1, "codes_other": 0.3}
                ],
            },
        ),
        (
            int8.RIGHT,
            {
                **GOOD[int8.RIGHT],
                "rows": [
                    {**ROWS, "group": 256, "gelu": True, "codes_apart": 1, "ways_equal": False}
                ],
            },
        ),
    ],
)
def test_what_does_not_hold_is_a_failure(row: str, found: dict[str, Any]) -> None:
    (words,) = int8.failures({**GOOD, row: found})
    assert words.startswith(row)


def test_a_kernel_that_does_not_fit_is_a_failure() -> None:
    fits = {"spilled_bytes": 0, "shared_bytes": 99 << 10}
    assert int8_resources.failures({"8.6": [fits]}) == []
    assert len(int8_resources.failures({"8.6": [{**fits, "shared_bytes": 100 << 10}]})) == 1
    assert len(int8_resources.failures({"8.6": [{**fits, "spilled_bytes": 8}]})) == 1


@pytest.mark.parametrize("variant", [Variant.LTX_2, Variant.LTX_2_3])
@torch.inference_mode()
def test_a_step_is_of_the_way_that_it_is_named_by(variant: Variant) -> None:
    torch.manual_seed(0)
    device = torch.device("cpu")
    stored = {"bf16": torch.bfloat16, "fp8_cast": torch.float8_e4m3fn, "int8": torch.int8}
    for way, change in int8_step.changes().items():
        model = transformer(variant, "tiny", device, change)
        assert model.transformer_blocks[0].ff.net[2].weight.dtype is stored[way]
        made = model(*modalities(model, (2, 3, 4), device), None)
        assert all(out.isfinite().all() for out in made)
