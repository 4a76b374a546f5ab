"""A base named wrongly: the ones that may have been meant."""

from __future__ import annotations

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.near_bases import near

EVERY = "2026-01-08 2026-02-09 2026-03-04 1.0.0 2026-04-13 2026-05-28 2026-08-03 1.2.0"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("1.0", "1.0.0"),
        ("1.2", "1.2.0"),
        ("v1.0.0", "1.0.0"),
        ("V1.2", "1.2.0"),
        ("LTX-2-1.0.0", "1.0.0"),
        ("vendor/LTX-2-1.0.0/", "1.0.0"),
        ("2026-03", "2026-03-04"),
        ("ae855f85", "1.0.0"),
        ("LTX-2.5", "1.2.0"),
        ("ltx-2.3", EVERY.partition("2026-02-09 ")[2]),
        ("LTX-2", EVERY),
        ("1.2.O", "1.0.0 1.2.0"),
        ("", EVERY),
        ("main", EVERY),
        ("x" * 10_000, EVERY),
    ],
)
def test_the_near_ones_are_named(store: Store, asked: str, meant: str) -> None:
    assert [base.name for base in near(asked, store.bases())] == meant.split()
