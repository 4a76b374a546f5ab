"""The flags advised for a card are the least lossy that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.budget import GIB, advise, gemma_needs, transformer_needs
from ltx2_patcher.values.weights import Checkpoint, Component, GemmaRoot

# The released models' sizes, from upstream's classes on the meta device.
GEMMA = GemmaRoot(
    size="12B",
    width=3840,
    layers=48,
    quantization=None,
    detail="bf16",
    newer_layout=False,
    shards=5,
    linear_elements=10_758_389_760,
    components=(Component("language model", 1065, 12_187_325_040, 24_374_650_080, {}),),
    missing=(),
    faults=(),
    bytes=24_374_650_080,
)
CHECKPOINT = Checkpoint(
    variant="LTX-2 19B",
    layers=48,
    precision="bf16",
    context_width=188160,
    fp8_elements=18_522_046_464,
    components=(
        Component("transformer", 3500, 18_876_174_592, 37_752_349_184, {}),
        Component("video vae", 184, 1_222_479_000, 2_444_958_000, {}),
    ),
    missing=(),
    bytes=43_277_941_706,
)


@pytest.mark.parametrize(
    ("card_gib", "flags"),
    [
        (12, None),
        (24, ("--gemma-8bit", "--quantization", "fp8-cast")),
        (32, ("--quantization", "fp8-cast")),
        (80, ()),
    ],
)
def test_a_card_gets_the_least_lossy_flags(card_gib: int, flags: tuple[str, ...] | None) -> None:
    assert advise(card_gib * GIB, CHECKPOINT, GEMMA).flags == flags


def test_the_text_encoder_alone_is_advised_too() -> None:
    assert advise(12 * GIB, None, GEMMA).flags == ("--gemma-4bit",)
    assert advise(24 * GIB, None, GEMMA).flags == ("--gemma-8bit",)
    assert advise(24 * GIB, None, None).flags == ()


def test_the_sizes_are_the_measured_ones() -> None:
    plain, eight, four = (need.bytes / GIB for need in gemma_needs(GEMMA))
    assert (round(plain, 1), round(eight, 1), round(four, 1)) == (23.7, 13.7, 8.8)


def test_what_is_quantized_already_takes_what_it_holds() -> None:
    packed = replace(GEMMA, quantization="4bit", bytes=8 * GIB)
    (need,) = gemma_needs(packed)
    assert (need.flags, need.bytes) == ((), 9 * GIB)
    assert [n.flags for n in transformer_needs(replace(CHECKPOINT, precision="fp8"))] == [
        ("--quantization", "fp8-cast")
    ]


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_larger_card_never_needs_more_flags(one: int, other: int) -> None:
    small, large = sorted((one, other))
    less, more = (advise(size * GIB, CHECKPOINT, GEMMA).flags for size in (small, large))
    if less is not None:
        assert more is not None
        assert len(more) <= len(less)
