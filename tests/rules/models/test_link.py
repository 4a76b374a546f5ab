"""A link's rate, by its generation and lanes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.link import Link, parse_link

generations, lanes = st.integers(1, 6), st.sampled_from([1, 2, 4, 8, 16])


@pytest.mark.parametrize(
    ("generation", "lanes", "gb_a_s"), [(4, 16, 25), (4, 8, 12.5), (4, 4, 6.3), (5, 16, 55)]
)
def test_a_link_copies_as_fast_as_was_measured(generation: int, lanes: int, gb_a_s: float) -> None:
    assert Link(generation, lanes).bytes_a_s == pytest.approx(gb_a_s * 1e9, rel=0.03)


@given(generations, generations, lanes, lanes)
def test_newer_and_wider_is_faster(one: int, other: int, few: int, many: int) -> None:
    slow = Link(min(one, other), min(few, many))
    fast = Link(max(one, other), max(few, many))
    assert slow.bytes_a_s <= fast.bytes_a_s
    assert parse_link(f" {one}, {few} ") == Link(one, few)


@given(st.text())
def test_what_is_no_link_is_none(text: str) -> None:
    found = parse_link(text)
    assert found is None or found.bytes_a_s > 0
