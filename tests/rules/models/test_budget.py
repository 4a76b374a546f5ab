"""The flags advised for a card are the least lossy that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.budget import (
    Capacity,
    advise,
    gemma_needs,
    savings_of,
    transformer_needs,
)
from ltx2_patcher.rules.models.card import GIB, Card
from ltx2_patcher.rules.models.forecast import require_fit
from ltx2_patcher.rules.models.measured import Measured
from ltx2_patcher.rules.models.workload import Workload
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.weights import Checkpoint, Component, GemmaRoot

# The released models' sizes, from upstream's classes on the meta device.
GEMMA = GemmaRoot(
    kind="gemma3",
    size="12B",
    width=3840,
    layers=48,
    version=None,
    packed=False,
    quantization=None,
    detail="bf16",
    newer_layout=False,
    shards=5,
    linear_elements=10_758_389_760,
    projection_width=None,
    components=(Component("language model", 1065, 12_187_325_040, 24_374_650_080, {}),),
    beside=frozenset(),
    nests_image_processor=False,
    missing=(),
    faults=(),
    bytes=24_374_650_080,
)
GEMMA_4 = replace(
    GEMMA,
    kind="gemma4_unified",
    packed=True,
    linear_elements=10_899_947_520,
    components=(
        Component("language model", 666, 11_959_730_224, 23_919_460_448, {}),
        Component("text projection", 4, 1_156_061_184, 2_312_122_368, {}),
    ),
)
CHECKPOINT = Checkpoint(
    variant="LTX-2 19B",
    layers=48,
    precision="bf16",
    whole=True,
    context_width=188160,
    gemma_version=None,
    fp8_elements=18_522_046_464,
    components=(
        Component("transformer", 3500, 18_876_174_592, 37_752_349_184, {}),
        Component("video vae", 184, 1_222_479_000, 2_444_958_000, {}),
    ),
    missing=(),
    bytes=43_277_941_706,
)
LTX_2_5 = replace(
    CHECKPOINT,
    variant="LTX-2.5 22B",
    whole=False,
    fp8_elements=18_550_358_016,
    components=(Component("transformer", 4000, 18_987_859_200, 37_975_718_400, {}),),
)
PLAIN = savings_of(frozenset({"--quantization"}))
EARLY = savings_of(frozenset({"--enable-fp8"}))
OFFLOADING = savings_of(frozenset({"--quantization", "--offload"}))


def _capacity(card_gib: int, host_gib: int = 0) -> Capacity:
    return Capacity(Card(card_gib * GIB), host_gib * GIB)


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
    assert advise(_capacity(card_gib), PLAIN, CHECKPOINT, GEMMA).flags == flags


def test_a_base_is_asked_for_fp8_in_its_own_words() -> None:
    assert advise(_capacity(24), EARLY, CHECKPOINT, GEMMA).flags == ("--gemma-8bit", "--enable-fp8")
    assert advise(_capacity(24), PLAIN, CHECKPOINT, None).flags == ("--quantization", "fp8-cast")


@pytest.mark.parametrize(
    ("card_gib", "host_gib", "flags"),
    [
        (80, 0, ()),
        (24, 64, ("--gemma-8bit", "--offload", "cpu")),
        (24, 32, ("--gemma-8bit", "--quantization", "fp8-cast")),
        (16, 64, ("--gemma-8bit", "--offload", "cpu")),
        (16, 32, ("--gemma-8bit", "--quantization", "fp8-cast", "--offload", "cpu")),
        (16, 16, ("--gemma-8bit", "--offload", "disk")),
        (12, 16, ("--gemma-4bit", "--offload", "disk")),
        (8, 64, ("--offload", "cpu")),
        (2, 64, None),
    ],
)
def test_blocks_leave_the_card_where_that_is_the_way(
    card_gib: int, host_gib: int, flags: tuple[str, ...] | None
) -> None:
    assert advise(_capacity(card_gib, host_gib), OFFLOADING, LTX_2_5, GEMMA_4).flags == flags


def test_the_text_encoder_alone_is_advised_too() -> None:
    assert advise(_capacity(12), PLAIN, None, GEMMA).flags == ("--gemma-4bit",)
    assert advise(_capacity(24), PLAIN, None, GEMMA).flags == ("--gemma-8bit",)
    assert advise(_capacity(24), PLAIN, None, None).flags == ()
    assert advise(_capacity(8, 32), OFFLOADING, None, GEMMA_4).flags == ("--offload", "cpu")
    assert advise(_capacity(8, 16), OFFLOADING, None, GEMMA_4).flags == ("--offload", "disk")


@pytest.mark.parametrize(
    ("gemma", "gib"), [(GEMMA, (23.7, 13.7, 8.8)), (GEMMA_4, (23.3, 13.1, 8.2))]
)
def test_the_sizes_are_the_measured_ones(gemma: GemmaRoot, gib: tuple[float, ...]) -> None:
    assert tuple(round(need.bytes / GIB, 1) for need in gemma_needs(gemma, None)) == gib


def test_what_is_quantized_already_takes_what_it_holds() -> None:
    packed = replace(GEMMA, quantization="4bit", bytes=8 * GIB)
    (need,) = gemma_needs(packed, "cpu")
    assert (need.flags, need.bytes) == ((), 9 * GIB)
    cast = ("--quantization", "fp8-cast")
    fp8 = replace(CHECKPOINT, precision="fp8")
    assert [n.flags for n in transformer_needs(fp8, PLAIN)] == [cast]
    ways = [cast, (*cast, "--offload", "cpu"), (*cast, "--offload", "disk")]
    assert [n.flags for n in transformer_needs(fp8, OFFLOADING)] == ways


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_larger_card_never_needs_more_flags(one: int, other: int) -> None:
    small, large = sorted((one, other))
    less, more = (
        advise(_capacity(size), PLAIN, CHECKPOINT, GEMMA).flags for size in (small, large)
    )
    if less is not None:
        assert more is not None
        assert len(more) <= len(less)


@given(st.integers(1, 200), st.integers(0, 300), st.integers(0, 300))
def test_more_host_memory_never_takes_the_way_away(card: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    less, more = (
        advise(_capacity(card, host), OFFLOADING, LTX_2_5, GEMMA_4) for host in (small, large)
    )
    assert less.flags is None or more.flags is not None
    assert set(less.needs) == set(more.needs)


def test_what_was_measured_counts_where_a_model_of_that_size_was() -> None:
    """For doctor as for a budget of verify.vram: one card, one source."""
    workload = Workload("distilled", 768, 512, 121, ("--gemma-4bit", "--quantization fp8-cast"))
    known = [Measured("1.0.0", "LTX-2 19B distilled", workload, 23 * GIB, 24)]
    cast = ("--quantization", "fp8-cast")
    assert advise(_capacity(24), PLAIN, CHECKPOINT, None, known).flags == cast
    assert advise(_capacity(23), PLAIN, CHECKPOINT, None, known).flags is None
    small = replace(CHECKPOINT, components=(Component("transformer", 1, 9, 18, {}),))
    assert advise(_capacity(23), PLAIN, small, None, known).flags == ()
    with pytest.raises(UsageError, match="a card of 23GB has 22.6 to use"):
        require_fit(workload, Card(23 * GIB), [*known, replace(known[0], workload=TWICE)])


TWICE = Workload("distilled", 768, 512, 241, ("--gemma-4bit", "--quantization fp8-cast"))
