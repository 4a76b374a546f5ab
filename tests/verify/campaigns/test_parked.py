"""The rows of the campaign of parked weights, and what its runs are held to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.campaigns.parked_cases import CARDS_GIB, ROWS, Clip, Judged, Row, tiny
from verify.campaigns.parked_checks import Run, checks, needs, parse_run
from verify.clips.cases import TINY as TINY_CLIP


def row_of(judged: Judged) -> Row:
    return next(row for row in ROWS if row.judged is judged)


def test_rows_and_their_tasks_are_told_apart_by_their_names() -> None:
    names = [row.name for row in ROWS]
    assert len({*names}) == len(names)
    for row in ROWS:
        ways = [task.way for task in row.tasks]
        assert ways
        assert all(ways)
        assert len({*ways}) == len(ways), row.name


def test_each_file_set_is_made_once() -> None:
    made = [files for files, _ in groupby(ROWS, key=lambda row: row.files)]
    assert len({files.name for files in made}) == len(made)


def test_clips_are_compared_on_each_card_with_the_unparked_one() -> None:
    for row in (row for row in ROWS if row.judged is Judged.EQUAL):
        budgets = [task.budget for task in row.tasks if isinstance(task, Clip)]
        assert budgets[0] is None
        assert {*CARDS_GIB} <= {*budgets}


def test_a_slower_link_comes_after_what_arithmetic_alone_takes() -> None:
    whole, *others = (task for task in row_of(Judged.LINK).tasks if isinstance(task, Clip))
    assert (whole.budget, whole.link_gb_s) == ("auto", None)
    assert [clip.link_gb_s for clip in others if clip.link_gb_s] == [25, 25, 12, 12, 6.5, 6.5]


def test_a_tiny_row_has_the_same_tasks_with_clips_for_a_cpu() -> None:
    for row in ROWS:
        small = tiny(row)
        assert [task.way for task in small.tasks] == [task.way for task in row.tasks]
        clips = [task for task in small.tasks if isinstance(task, Clip)]
        assert all(clip.shape == TINY_CLIP for clip in clips)


def runs_of(row: Row, *parts: Mapping[str, Any]) -> list[Run]:
    """A run a part, each with the fields of that."""
    about = {"case": row.name, "pipeline": row.script, "width": 768, "height": 512}
    common: dict[str, Any] = {**about, "frames": 121, "steps": None, "reserved_gib": 6.2}
    return [Run(**{**common, "way": str(at), **part}) for at, part in enumerate(parts)]


GOOD: dict[Judged, list[dict[str, Any]]] = {
    Judged.EQUAL: [
        {"budget_gib": None, "clips": ("a",), "reserved_gib": 23.6},
        {"budget_gib": 6.5, "clips": ("a", "a")},
    ],
    Judged.ARITHMETIC: [
        {"budget_gib": 22.8, "seconds": (80.0, 39.0), "clips": ("a", "b")},
        {"budget_gib": "auto", "seconds": (36.0,)},
    ],
    Judged.LINK: [
        {"budget_gib": "auto", "figures": {"step_s": 0.3}},
        {"budget_gib": 6.5, "figures": {"step_s": 0.79, "reckoned_s": 0.75}},
    ],
    Judged.GROWTH: [
        {
            "budget_gib": 22.8,
            "figures": {
                "first_reserved_gib": 20.0,
                "last_reserved_gib": 20.1,
                "first_host_gib": 46.0,
                "last_host_gib": 45.0,
            },
        },
    ],
    Judged.SHARED: [
        {"budget_gib": 6.5, "clips": ("a", "a"), "figures": {"one_gib": 48.0, "two_gib": 51.0}},
    ],
    Judged.FITS: [{"budget_gib": 22.8, "reserved_gib": 22.8}],
    Judged.NEEDS: [{"budget_gib": "auto", "reserved_gib": 5.3}],
}

BAD: list[tuple[Judged, int, dict[str, Any]]] = [
    (Judged.EQUAL, 1, {"clips": ("a", "b")}),
    (Judged.EQUAL, 1, {"reserved_gib": 6.51}),
    (Judged.EQUAL, 1, {"failure": "it ended with 1: no room"}),
    (Judged.ARITHMETIC, 0, {"seconds": (30.0, 39.7)}),
    (Judged.LINK, 1, {"figures": {"step_s": 0.83, "reckoned_s": 0.75}}),
    (Judged.LINK, 1, {"figures": {"step_s": 0.67, "reckoned_s": 0.75}}),
    (Judged.GROWTH, 0, {"last_host_gib": 46.5}),
    (Judged.GROWTH, 0, {"last_reserved_gib": 20.21}),
    (Judged.SHARED, 0, {"figures": {"one_gib": 48.0, "two_gib": 56.0}}),
    (Judged.SHARED, 0, {"clips": ("a", "b")}),
    (Judged.FITS, 0, {"reserved_gib": 22.9}),
    (Judged.NEEDS, 0, {"failure": "its process ended with -9"}),
]


def verdicts(judged: Judged, runs: Sequence[Run], *, full: bool = True) -> list[bool]:
    return [check["passed"] for check in checks([row_of(judged)], runs, full=full)]


@pytest.mark.parametrize("judged", Judged)
def test_what_holds_passes(judged: Judged) -> None:
    passed = verdicts(judged, runs_of(row_of(judged), *GOOD[judged]))
    assert all(passed)
    assert passed or judged is Judged.NEEDS


@pytest.mark.parametrize(("judged", "at", "change"), BAD)
def test_what_does_not_hold_is_told(judged: Judged, at: int, change: dict[str, Any]) -> None:
    runs = runs_of(row_of(judged), *GOOD[judged])
    if not {*change} <= {*asdict(runs[at])}:
        change = {"figures": {**runs[at].figures, **change}}
    runs[at] = replace(runs[at], **change)
    assert verdicts(judged, runs).count(False) == 1


@pytest.mark.parametrize("judged", [Judged.ARITHMETIC, Judged.LINK, Judged.GROWTH, Judged.SHARED])
def test_figures_of_tiny_weights_are_not_judged(judged: Judged) -> None:
    bad: dict[str, Any] = {
        "figures": dict.fromkeys(("step_s", "reckoned_s"), 0.0),
        "seconds": (1e9,),
    }
    runs = [replace(run, **bad) for run in runs_of(row_of(judged), *GOOD[judged])]
    assert all(verdicts(judged, runs, full=False))


def test_unparked_clips_that_differ_from_one_another_are_told() -> None:
    row = row_of(Judged.EQUAL)
    plain, parked = GOOD[Judged.EQUAL]
    runs = runs_of(row, {**plain, "clips": ("a", "b")}, {**parked, "clips": ("a",)})
    told = [check["text"] for check in checks([row], runs, full=True) if not check["passed"]]
    assert [text for text in told if "the unparked clips equal one another" in text]


def test_needs_are_told_with_what_they_are_of() -> None:
    row = row_of(Judged.NEEDS)
    failed = {"budget_gib": "auto", "failure": "it ended with 1", "reserved_gib": None}
    assert needs(ROWS, runs_of(row, *GOOD[Judged.NEEDS], failed)) == [
        {
            "pipeline": "distilled",
            "variant": "2.0",
            "width": 768,
            "height": 512,
            "frames": 121,
            "reserved_gib": 5.3,
        }
    ]


NUMBERS = st.floats(0, 1e6)


@given(
    st.builds(
        Run,
        case=st.text(),
        way=st.text(),
        pipeline=st.text(),
        width=st.integers(1),
        height=st.integers(1),
        frames=st.integers(1),
        steps=st.none() | st.integers(1),
        budget_gib=st.none() | st.just("auto") | NUMBERS,
        seconds=st.lists(NUMBERS).map(tuple),
        reserved_gib=st.none() | NUMBERS,
        clips=st.lists(st.text()).map(tuple),
        figures=st.dictionaries(st.text(), NUMBERS),
        failure=st.none() | st.text(),
    )
)
def test_a_run_is_read_as_it_was_written(run: Run) -> None:
    assert parse_run(json.loads(json.dumps(asdict(run)))) == run
