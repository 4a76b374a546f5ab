"""What the runs of the campaign of the service are held to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.values.errors import UsageError
from verify.campaigns import service
from verify.campaigns.service_fakes import MEASURES
from verify.campaigns.service_rows import (
    ALONE,
    SCALED,
    SHARED,
    Of,
    Row,
    Run,
    card_rows,
    checks,
    parse_run,
    spread,
)


def row_of(name: str, cards: int = 2) -> Row:
    return next(row for row in card_rows(cards) if row.name == name)


ROW = row_of(SCALED)
HELD = {
    "of_each": 0.98,
    "lost": 0,
    "unanswered": 0,
    "kills": 3,
    "claimed_max_s": 2.0,
    "again_max_s": 25.0,
    "load_s": 17.0,
}


def failed(run: Run, *, full: bool = True) -> list[str]:
    return [check["text"] for check in checks([ROW], [run], full=full) if not check["passed"]]


def test_rows_are_told_apart_and_each_without_a_card_is_measured() -> None:
    names = [row.name for row in (*ALONE, *card_rows(2))]
    assert len({*names}) == len(names)
    assert {row.name for row in ALONE} == MEASURES.keys()
    assert {row.of for row in card_rows(8)} == {Of.CARDS}


@pytest.mark.parametrize(
    ("cards", "of_each", "ratio"),
    [(1, 0.975, 1.15), (2, 0.975, 1.15), (3, 0.95, 1.3), (4, 0.95, 1.3), (8, 0.93, 1.3)],
)
def test_many_cards_may_lose_more_than_two(cards: int, of_each: float, ratio: float) -> None:
    for name, figure, limit in ((SCALED, "of_each", of_each), (SHARED, "ratio", ratio)):
        limits = {bound.figure: bound.limit for bound in row_of(name, cards).bounds}
        assert limits[figure] == limit


def test_a_checkout_without_the_series_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured there would be of no code that anybody can name."""
    monkeypatch.setattr(service, "checkout_path", lambda *_: tmp_path)
    with pytest.raises(UsageError, match="not 1.2.0 with the series") as refused:
        service.Campaign(service.parser().parse_args(["--out", str(tmp_path / "out.json")]))
    assert "make patch BASE=1.2.0" in refused.value.remedy


def test_a_run_that_held_passes_every_bound() -> None:
    assert failed(Run(SCALED, 1.0, HELD)) == []
    assert len(checks([ROW], [Run(SCALED, 1.0, HELD)], full=True)) == len(ROW.bounds)


@pytest.mark.parametrize(
    ("figure", "value"),
    [("of_each", 0.97), ("lost", 1), ("kills", 2), ("claimed_max_s", 11), ("again_max_s", 28)],
)
def test_each_figure_beyond_its_bound_fails(figure: str, value: float) -> None:
    (text,) = failed(Run(SCALED, 1.0, {**HELD, figure: value}))
    assert f"{figure} {value:g}" in text


def test_tiny_models_are_held_to_no_pace_but_to_every_clip() -> None:
    slow = {**HELD, "of_each": 0.2, "again_max_s": 60.0}
    assert failed(Run(SCALED, 1.0, slow), full=False) == []
    assert failed(Run(SCALED, 1.0, {**slow, "lost": 1}), full=False)


def test_a_row_that_did_not_end_fails() -> None:
    assert failed(Run(SCALED, failure="it broke")) == [f"{SCALED}: it broke"]


def test_a_run_is_read_as_it_was_written() -> None:
    run = Run(SCALED, 1.0, HELD)
    assert parse_run(asdict(run)) == run


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_ranks_are_in_order_and_few_values_have_their_largest_as_p99(values: list[float]) -> None:
    middle, p99, most = spread("x", values).values()
    assert middle <= p99 <= most
    assert len(values) >= 100 or p99 == most
