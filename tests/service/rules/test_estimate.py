from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.estimate import UNKNOWN, Free, ends, paces_of, run_limit_s, tokens_of
from ltx2_service.values.job import Wanted
from ltx2_service.values.waiting import Run, Waiting


def job(number: int, gpu: int | None = None, model: str = "fast") -> Waiting:
    return Waiting(f"job{number}", number, "a", 0, gpu, model, 10)


def cost(job: Waiting, *, cold: bool) -> float:
    return job.tokens + (100.0 if cold else 0.0)


def test_tokens_are_those_of_the_video_vae() -> None:
    assert tokens_of(Wanted("x", width=768, height=512, num_frames=121)) == 24 * 16 * 16
    assert tokens_of(Wanted("x", width=64, height=64, num_frames=1)) == 4
    assert tokens_of(Wanted("x", width=1, height=1, num_frames=1)) == 1


@pytest.mark.parametrize(
    ("estimate_s", "origin", "limit_s"),
    [(10.0, "v1", 600.0), (400.0, "v1", 2000.0), (400.0, "own", 600.0)],
)
def test_a_clip_that_nobody_waits_for_may_take_its_time(
    estimate_s: float, origin: str, limit_s: float
) -> None:
    assert run_limit_s(600.0, estimate_s, origin) == limit_s


@given(st.floats(1e-4, 1), st.floats(0, 200), st.lists(st.integers(1, 10**5), min_size=1))
def test_the_pace_of_even_runs_is_found_again(
    token_s: float, load_s: float, sizes: list[int]
) -> None:
    runs = [Run("fast", size, token_s * size, cold=False) for size in sizes]
    runs.append(Run("fast", 100, token_s * 100 + load_s, cold=True))
    pace = paces_of(runs)["fast"]
    assert pace.token_s == pytest.approx(token_s) and pace.load_s == pytest.approx(load_s)
    assert pace.seconds(200, cold=True) == pytest.approx(200 * token_s + load_s)


def test_with_one_kind_of_run_the_other_is_guessed() -> None:
    assert paces_of([Run("fast", 10, 20.0, cold=True)])["fast"].seconds(10, cold=True) == 20
    assert paces_of([Run("fast", 10, 20.0, cold=False)])["fast"].load_s == UNKNOWN.load_s
    assert paces_of([]) == {}


@given(
    st.lists(st.sampled_from([None, 0, 1, 9]), max_size=15),
    st.dictionaries(st.integers(0, 2), st.floats(0, 50)),
)
def test_a_card_makes_one_clip_after_the_other(
    pins: list[int | None], free_s: dict[int, float]
) -> None:
    order = [job(number, gpu) for number, gpu in enumerate(pins)]
    free = [Free(gpu, seconds, frozenset({"fast"})) for gpu, seconds in free_s.items()]
    told = ends(order, free, cost)
    able = [one for one in order if one.gpu in free_s or (one.gpu is None and free_s)]
    assert told.keys() == {one.id for one in able}
    assert all(seconds >= 10 + min(free_s.values()) for seconds in told.values())
    # No more than the cards can do: the last ends no earlier than if all shared the work evenly.
    if told:
        whole = sum(free_s.values()) + 10 * len(told)
        assert max(told.values()) >= max(10, whole / len(free_s) - max(free_s.values(), default=0))


def test_a_change_of_the_model_costs_its_load_once_a_card() -> None:
    told = ends([job(0), job(1), job(2)], [Free(0, 5.0, frozenset({"fine"}))], cost)
    assert list(told.values()) == [115, 125, 135]
    told = ends([job(0), job(1)], [Free(0, 0, frozenset()), Free(1, 50, frozenset({"fast"}))], cost)
    assert list(told.values()) == [60, 70]  # waiting for the warm card is sooner
