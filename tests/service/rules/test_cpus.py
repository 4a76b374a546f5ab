from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ltx2_service.rules.cpus import parse_cpus


@given(some.frozensets(some.integers(0, 300)))
def test_a_list_of_numbers_is_read(cpus: frozenset[int]) -> None:
    assert parse_cpus(",".join(map(str, sorted(cpus))) + "\n") == cpus


@pytest.mark.parametrize(
    ("listed", "cpus"),
    [("0-3,8\n", {0, 1, 2, 3, 8}), ("0-1,4-5", {0, 1, 4, 5}), ("", set()), ("all", set())],
)
def test_ranges_are_read(listed: str, cpus: set[int]) -> None:
    assert parse_cpus(listed) == cpus
