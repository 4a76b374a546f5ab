"""A budget that is too small for its clip is told, by what clips were measured to need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.baselines import BASELINES, read_needs
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.parked_need import (
    CardBudget,
    ParkedNeed,
    budget_of,
    caution_of_budget,
    caution_of_free_memory,
    forecast_need,
    parse_needs,
    refusal_of_budget,
)
from ltx2_patcher.rules.models.workload import Workload
from tests.conftest import ROOT

MODEL = "LTX-2"
# Made up: round numbers that are easy to reckon with.
ROWS = [(512, 320, 25, 3.0), (768, 512, 121, 5.0), (1536, 1024, 121, 14.0)]
BASELINE = {
    "base": "1.2.0",
    "needs": [
        {
            "pipeline": "distilled",
            "variant": "2.0",
            "width": width,
            "height": height,
            "frames": frames,
            "reserved_gib": gib,
        }
        for width, height, frames, gib in ROWS
    ],
}
KNOWN = parse_needs(BASELINE)
sizes = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 40))
needs = st.builds(
    lambda size, gib: ParkedNeed("1.2.0", MODEL, clip(*size), int(gib * GIB)),
    sizes,
    st.floats(0.5, 40),
)


def clip(across: int, down: int, steps: int) -> Workload:
    return Workload("distilled", across * 32, down * 32, steps * 8 + 1, ())


def asked(width: int, height: int, frames: int) -> Workload:
    return Workload("distilled", width, height, frames, ("--quantization fp8-cast",))


def of(gib: float) -> CardBudget:
    return CardBudget(int(gib * GIB), given=True)


@pytest.mark.parametrize(("width", "height", "frames", "gib"), ROWS)
def test_what_was_measured_is_enough_and_less_is_not(
    width: int, height: int, frames: int, gib: float
) -> None:
    workload = asked(width, height, frames)
    for base in (KNOWN, [replace(one, base="1.0.0", bytes=one.bytes // 2) for one in KNOWN]):
        known = [*KNOWN, *base]
        assert refusal_of_budget(workload, MODEL, of(gib), known) is None
        assert caution_of_budget(workload, MODEL, of(gib), known) is None
        told = refusal_of_budget(workload, MODEL, of(gib - 0.05), known)
        assert told is not None
        assert told.remedy.startswith(f"give --vram-budget {gib}, or ")


def test_a_refusal_names_the_least_budget_and_the_nearest_clip() -> None:
    told = refusal_of_budget(asked(1536, 1024, 121), MODEL, of(6.5), KNOWN)
    assert told is not None
    assert str(told) == (
        "distilled at 1536x1024 and 121 frames takes about 14.0 GiB of the card with all weights "
        "in host memory, and --vram-budget allows 6.5 GiB"
    )
    assert told.remedy == (
        "give --vram-budget 14.0, or --num-frames 41, the most that fits at this size"
    )
    told = refusal_of_budget(asked(1536, 1024, 25), MODEL, of(3.2), KNOWN)
    assert told is not None
    assert told.remedy.endswith(
        "or --width 512 --height 320 --num-frames 25, the largest measured that fits"
    )
    told = refusal_of_budget(asked(1536, 1024, 25), MODEL, of(2), KNOWN)
    assert told is not None
    assert told.remedy.endswith("or take a larger card")


def test_what_is_free_counts_where_no_number_is_given() -> None:
    budget = budget_of("auto", int(6.75 * GIB))
    told = refusal_of_budget(asked(1536, 1024, 121), MODEL, budget, KNOWN)
    assert told is not None
    assert str(told).endswith("and 6.0 GiB of it are free")
    assert told.remedy.startswith("end what else uses the card, or --num-frames ")
    assert caution_of_free_memory(budget, int(6.75 * GIB)) is None
    assert caution_of_free_memory(budget_of(6.5, 7 * GIB), 7 * GIB) is None
    caution = caution_of_free_memory(budget_of(22.8, 7 * GIB), 7 * GIB)
    assert caution is not None
    assert caution.fact == (
        "--vram-budget allows 22.8 GiB, and beside CUDA's own 6.5 GiB of the card are free"
    )
    assert budget_of("auto", 0).bytes == 0


@pytest.mark.parametrize(
    ("width", "height", "frames", "gib"), [(256, 256, 9, 3.0), (1920, 1088, 241, 30.0)]
)
def test_beyond_what_was_measured_nothing_is_refused(
    width: int, height: int, frames: int, gib: float
) -> None:
    workload = asked(width, height, frames)
    assert refusal_of_budget(workload, MODEL, of(1), KNOWN) is None
    told = caution_of_budget(workload, MODEL, of(gib - 0.5), KNOWN)
    assert told is not None
    assert told.fact.endswith("(reckoned: none of its size was measured)")
    assert caution_of_budget(workload, MODEL, of(40), KNOWN) is None


def test_other_pipelines_and_models_tell_nothing() -> None:
    for workload, model in (
        (replace(asked(768, 512, 121), pipeline="retake"), MODEL),
        (asked(768, 512, 121), "LTX-2.3"),
    ):
        assert forecast_need(workload, model, KNOWN) is None
        assert refusal_of_budget(workload, model, of(1), KNOWN) is None
        assert caution_of_budget(workload, model, of(1), KNOWN) is None


@given(st.lists(needs, min_size=1, max_size=8), sizes, sizes)
def test_more_tokens_never_need_less(
    known: list[ParkedNeed], one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    less, more = sorted((clip(*one), clip(*other)), key=lambda workload: workload.tokens)
    small, large = forecast_need(less, MODEL, known), forecast_need(more, MODEL, known)
    assert small is not None and large is not None
    assert small.bytes <= large.bytes


@given(st.lists(needs, min_size=1, max_size=8), sizes, st.floats(0.1, 50))
def test_what_is_offered_fits(
    known: list[ParkedNeed], size: tuple[int, int, int], gib: float
) -> None:
    """And what was measured is never told to need less than it did."""
    workload, budget = clip(*size), of(gib)
    for one in known:
        need = forecast_need(one.workload, MODEL, known)
        assert need is not None and need.measured and need.bytes >= one.bytes
    told = refusal_of_budget(workload, MODEL, budget, known)
    if told is not None and "--num-frames" in told.remedy and "--width" not in told.remedy:
        frames = int(told.remedy.split("--num-frames ")[1].split(",")[0])
        assert frames < workload.frames
        assert refusal_of_budget(replace(workload, frames=frames), MODEL, budget, known) is None


def test_the_committed_baselines_are_read() -> None:
    known = read_needs(ROOT / BASELINES)
    assert all(one.bytes > 0 and one.workload.tokens > 0 for one in known)
