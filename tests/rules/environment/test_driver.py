"""Which build of torch goes with a driver and a card."""

from __future__ import annotations

import pytest

from ltx2_patcher.rules.environment.driver import runs, wheel_tag


@pytest.mark.parametrize(
    ("driver", "capability", "tag"),
    [
        ("580.95.05", (8, 6), "cu130"),
        ("575.57.08", (8, 6), "cu128"),
        ("560.28.03", (8, 6), "cu126"),
        ("525.60.13", (8, 6), "cu126"),
        ("470.256.02", (8, 6), None),
        ("590.10", (7, 0), "cu128"),  # Volta: CUDA 13 dropped it
        ("560.28.03", (12, 0), None),  # Blackwell needs CUDA 12.8
        ("unknown", (8, 6), None),
    ],
)
def test_the_newest_build_that_runs(
    driver: str, capability: tuple[int, int], tag: str | None
) -> None:
    assert wheel_tag(driver, capability) == tag


def test_a_build_runs_from_its_driver_on() -> None:
    assert runs("580.159.04", "13.0")
    assert not runs("575.57.08", "13.0")
    assert runs("575.57.08", "12.8")
    assert not runs("470.256.02", "12.6")
