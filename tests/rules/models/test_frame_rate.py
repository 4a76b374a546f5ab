"""A file that would state another frame rate than its sound was made for is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.rules.models.abilities import nearest
from ltx2_patcher.rules.models.frame_rate import caution_of_rate, caution_of_video_rate
from ltx2_patcher.values.abilities import Abilities, Ability
from tests.rules.models.small_scripts import IN_PARTS, TWO_STAGE

EXACT: frozenset[Ability] = frozenset({"exact-rates"})
EARLY, LATE = ("LTX-2 19B",), ("LTX-2 19B", "LTX-2.3 22B")
BASES = [
    Abilities("first", EARLY, EXACT),
    Abilities("second", LATE, EXACT),
    Abilities("rounding", LATE, frozenset()),
    Abilities("fourth", LATE, EXACT),
    Abilities("fifth", LATE, EXACT),
]
FIRST, SECOND, ROUNDING, FOURTH, _ = BASES
SCRIPT = replace(TWO_STAGE, makes="video")
DUBBING = replace(IN_PARTS, makes="video")


@pytest.mark.parametrize(
    ("rate", "told", "remedy"),
    [
        (
            23.976,
            "writes 23.976 frames a second as 23, so that pictures and sound part by 4.1%",
            24,
        ),
        (29.97, "writes 29.97 frames a second as 29, so that pictures and sound part by 3.2%", 30),
        (0.5, "writes 0.5 frames a second as 0, so that pictures and sound part by 100.0%", 1),
    ],
)
def test_a_rate_that_is_rounded_is_told(rate: float, told: str, remedy: int) -> None:
    caution = caution_of_rate(SCRIPT, rate, ROUNDING, BASES)
    assert caution is not None
    assert caution.fact == f"--frame-rate: base rounding {told}"
    assert caution.remedy == f"give --frame-rate {remedy}, or take base fourth"


@pytest.mark.parametrize("rate", [None, 24, 24.0])
def test_whole_rates_are_right_everywhere(rate: float | None) -> None:
    assert caution_of_rate(SCRIPT, rate, ROUNDING, BASES) is None


def test_an_exact_base_and_a_script_without_pictures_are_right_with_any_rate() -> None:
    assert caution_of_rate(SCRIPT, 23.976, SECOND, BASES) is None
    assert caution_of_rate(replace(SCRIPT, makes="sound"), 23.976, ROUNDING, BASES) is None
    assert caution_of_video_rate("--video-path", Path("a.mp4"), 23.976, SCRIPT, SECOND) is None


def test_where_the_patch_is_not_in_the_whole_series_has_it_right() -> None:
    caution = caution_of_rate(SCRIPT, 23.976, replace(FOURTH, can=frozenset()), BASES)
    assert caution is not None
    assert "`ltx2-patcher apply --base fourth`" in str(caution.remedy)
    alone = caution_of_rate(SCRIPT, 23.976, ROUNDING, [ROUNDING])
    assert alone is not None
    assert alone.remedy == "give --frame-rate 24"


@pytest.mark.parametrize("able", [SECOND, ROUNDING])
def test_a_script_that_rounds_the_rate_of_a_video_is_told(able: Abilities) -> None:
    video = Path("a folder/a.mp4")
    caution = caution_of_video_rate("--video-path", video, 24000 / 1001, DUBBING, able)
    assert caution is not None
    assert "writes 23.976 frames a second as 23" in caution.fact
    assert caution.remedy == "give it at a whole rate: ffmpeg -i a.mp4 -r 24 at_24.mp4"
    assert caution_of_video_rate("--video-path", video, 25.0, DUBBING, able) is None
    for unsaid in (0.0, None):
        assert caution_of_video_rate("--video-path", video, unsaid, DUBBING, able) is None
    assert caution_of_video_rate("--video-conditioning", video, 23.976, DUBBING, able) is None


def test_the_nearest_base_is_the_next_that_can() -> None:
    def found(able: Abilities) -> str | None:
        offering = nearest(able, BASES, "exact-rates")
        return None if offering is None else offering.base

    assert found(ROUNDING) == "fourth"
    assert found(replace(FIRST, can=frozenset())) == "first"
    assert found(Abilities("unknown", LATE, frozenset())) == "second"
    last = [*BASES[:3], Abilities("last", LATE, frozenset())]
    assert nearest(last[-1], last, "exact-rates") == SECOND
    assert nearest(ROUNDING, [ROUNDING], "exact-rates") is None
