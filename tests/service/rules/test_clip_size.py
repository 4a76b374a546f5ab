from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.clip_size import frames_of, parse_size, seconds_shown


@given(st.floats(0.001, 1000), st.sampled_from([12.0, 23.976, 24.0, 25.0, 30.0, 60.0]))
def test_frames_are_the_least_8k_plus_1_that_last_long_enough(seconds: float, rate: float) -> None:
    frames = frames_of(seconds, rate)
    assert frames % 8 == 1
    assert frames >= seconds * rate - 1e-6
    assert frames == 1 or frames - 8 < seconds * rate


@pytest.mark.parametrize(
    ("seconds", "rate", "frames"),
    [(4, 24.0, 97), (8, 24.0, 193), (1, 25.0, 25), (5, 24.0, 121), (0.01, 24.0, 1)],
)
def test_some_lengths(seconds: float, rate: float, frames: int) -> None:
    assert frames_of(seconds, rate) == frames


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_sizes_are_read_back(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (width, height)


@pytest.mark.parametrize(
    ("frames", "rate", "shown"), [(120, 24.0, "5"), (121, 24.0, "5.04"), (25, 25.0, "1")]
)
def test_seconds_are_short(frames: int, rate: float, shown: str) -> None:
    assert seconds_shown(frames, rate) == shown
