"""What parked weights take of host memory, what has no room there, and what is advised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.parked_advice import advised_parking, caution_of_disk, parkings
from ltx2_patcher.rules.models.parked_host import (
    HostShare,
    ParkedWeights,
    refusal_of_host,
    room_of,
    weights_of,
)
from ltx2_patcher.values.request import InputFile, Request
from tests.rules.models.test_budget import CHECKPOINT, GEMMA

PLAIN = Request(pipeline="distilled")
CAST, BITS_8, BITS_4 = ("--quantization", "fp8-cast"), ("--gemma-8bit",), ("--gemma-4bit",)
amounts = st.integers(0, 200 * GIB)
requests = st.builds(
    Request,
    pipeline=st.just("distilled"),
    quantization=st.sampled_from([None, "fp8-cast"]),
    gemma=st.sampled_from([None, "4bit", "8bit"]),
)


def share_of(request: Request, gib: float) -> HostShare:
    return HostShare(weights_of(request, CHECKPOINT, GEMMA), int(gib * GIB))


def test_a_second_stage_with_its_lora_is_a_second_transformer() -> None:
    one = weights_of(PLAIN, CHECKPOINT, GEMMA)
    lora = replace(PLAIN, files=(InputFile("--distilled-lora", Path("lora")),))
    two = weights_of(lora, CHECKPOINT, GEMMA)
    assert two.bytes - one.bytes == one.transformer_bytes == two.transformer_bytes
    without = weights_of(PLAIN, CHECKPOINT, None)
    assert one.bytes - without.bytes == GEMMA.elements * 2


@given(amounts, amounts)
def test_what_has_room_and_what_has_none_is_all(weights: int, room: int) -> None:
    share = HostShare(ParkedWeights(weights, weights // 2), room)
    assert share.on_disk_bytes + min(weights, room) == weights
    assert 0 <= share.read_bytes <= min(share.on_disk_bytes, weights // 2)


@given(amounts)
def test_a_named_budget_counts_and_auto_leaves_some(free: int) -> None:
    assert room_of(None, free) == room_of("auto", free) == max(free - 4 * GIB, 0)
    assert room_of(6.5, free) == int(6.5 * GIB)


def test_only_what_can_not_work_is_refused() -> None:
    """By itself the process takes what is left, however little; a budget may promise too much."""
    for free, budget in ((60.0, None), (5, None), (2, None), (60, 40), (41, 0.001)):
        share = share_of(PLAIN, room_of(budget, int(free * GIB)) / GIB)
        assert refusal_of_host(share, int(free * GIB)) is None
    told = refusal_of_host(share_of(PLAIN, 40), 41 * GIB)
    assert told is not None
    assert str(told) == (
        "40.0 GiB of weights and 2.0 GiB for the process are more than the 41.0 GiB of host memory "
        "that are free"
    )
    assert told.remedy == "give --host-budget auto, or end what takes memory"
    told = refusal_of_host(share_of(PLAIN, 0), GIB)
    assert told is not None
    assert told.remedy == "end what takes memory"


def test_weights_that_are_read_again_are_told_with_what_helps() -> None:
    """Of LTX-2 19B and Gemma 3 12B: 60 GiB in bf16, 43 with fp8-cast, 28 with 4 bits too."""

    def told(request: Request, gib: float) -> tuple[str, str | None] | None:
        found = caution_of_disk(request, CHECKPOINT, GEMMA, share_of(request, gib))
        return None if found is None else (found.fact, found.remedy)

    assert told(PLAIN, 61) is None
    assert told(PLAIN, 50) == (
        (
            "10.1 GiB of 60.1 GiB of weights have no room in host memory, where they may take 50.0 "
            "GiB: each step reads up to 10.1 GiB again, as fast as the disk reads (3.6 s at 3 "
            "GB/s, reckoned)"
        ),
        (
            "let them take 10.1 GiB more of host memory, or give --quantization fp8-cast, with "
            "which all have room"
        ),
    )
    cast = replace(PLAIN, quantization="fp8-cast")
    said = told(cast, 20)
    assert said is not None
    assert "each step reads up to 17.9 GiB again" in said[0]
    assert str(said[1]).endswith(
        "or give --quantization fp8-cast --gemma-4bit, with which 8.0 GiB have none"
    )
    said = told(replace(cast, gemma="4bit"), 20)
    assert said is not None
    assert said[1] == "let them take 8.0 GiB more of host memory"


@pytest.mark.parametrize(
    ("gib", "flags"),
    [
        (10, (*CAST, *BITS_4)),
        (29, (*CAST, *BITS_4)),
        (33, (*CAST, *BITS_8)),
        (42, (*CAST, *BITS_8)),
        (43, CAST),
        (60, CAST),
        (61, ()),
    ],
)
def test_the_least_lossy_weights_that_host_memory_holds_are_advised(
    gib: int, flags: tuple[str, ...]
) -> None:
    assert advised_parking(PLAIN, CHECKPOINT, GEMMA, gib * GIB).flags == flags


def test_what_is_in_few_bits_already_is_taken_as_it_is() -> None:
    fp8, in_4bit = replace(CHECKPOINT, precision="fp8"), replace(GEMMA, quantization="4bit")
    for room in (100, 10):
        assert advised_parking(PLAIN, fp8, in_4bit, room * GIB).flags == CAST
    scaled = replace(PLAIN, quantization="fp8-scaled-mm")
    assert advised_parking(scaled, fp8, None, 0).flags == ("--quantization", "fp8-scaled-mm")


@given(requests, amounts, amounts)
def test_more_memory_never_makes_it_worse(request: Request, one: int, other: int) -> None:
    """And what is advised has room wherever any way has."""
    less, more = sorted((one, other))
    ways = list(parkings(request, CHECKPOINT, GEMMA, more))
    flags = [way.flags for way in ways]
    chosen = [advised_parking(request, CHECKPOINT, GEMMA, room) for room in (less, more)]
    assert flags.index(chosen[1].flags) <= flags.index(chosen[0].flags)
    fitting = [way for way in ways if not way.share.on_disk_bytes]
    assert bool(fitting) == (not chosen[1].share.on_disk_bytes)
    sizes = [way.share.weights.bytes for way in ways]
    assert sizes == sorted(sizes, reverse=True)
