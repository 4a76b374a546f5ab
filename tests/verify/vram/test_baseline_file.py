"""A campaign that was cut off goes on where it stopped, and never mixes what is not alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.card import GIB, SPARE_BYTES
from ltx2_patcher.values.errors import InvalidError
from verify.vram.baseline_file import (
    as_try,
    checks,
    resume_baseline,
    tries_of,
    with_run,
    with_tries,
    write_baseline,
)
from verify.vram.search import Try

ABOUT = {"base": "1.0.0", "code": {"a.py": "1"}, "machine": "a card", "date": "2026-11-26"}
NAMES = st.lists(st.sampled_from("abcde"), max_size=12)


def run(name: str, load_s: float = 1.0, *, out_of_memory: bool = False) -> dict[str, Any]:
    stages = [
        {"name": "duration", "load_s": 0.1, "left_bytes": 9 * GIB},
        {"name": "text encoding", "load_s": load_s, "left_bytes": 5 * GIB},
    ]
    ended = {"ended_well": not out_of_memory, "out_of_memory": out_of_memory}
    return {"name": name, "frames": 121, **ended, "stages": stages}


def test_what_was_kept_is_gone_on_with_on_another_day(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert resume_baseline(path, ABOUT) == {**ABOUT, "checks": [], "runs": []}
    kept = {**ABOUT, "checks": [], "runs": [run("a")]}
    write_baseline(path, kept)
    later = {"date": "2026-12-01"}
    assert resume_baseline(path, {**ABOUT, **later}) == {**kept, **later}


@pytest.mark.parametrize("other", [{"code": {"a.py": "2"}}, {"machine": "another"}])
def test_what_is_of_other_code_or_another_card_is_left_out(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    write_baseline(tmp_path / "baseline.json", {**ABOUT, "checks": [], "runs": [run("a")]})
    assert resume_baseline(tmp_path / "baseline.json", {**ABOUT, **other})["runs"] == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"base": "1.0'])
def test_a_damaged_one_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(InvalidError, match="is no baseline"):
        resume_baseline(path, ABOUT)


@given(before=NAMES, new=st.sampled_from("abcde"))
def test_each_case_stands_once_in_the_campaigns_order(before: list[str], new: str) -> None:
    runs: list[Any] = []
    for at, name in enumerate([*before, new]):
        runs = with_run(runs, run(name, at), "abcde")
    assert [one["name"] for one in runs] == sorted({*before, new})
    last = next(one for one in runs if one["name"] == new)
    assert last["stages"][1]["load_s"] == len(before)


def test_loads_are_compared_where_both_ways_were_measured() -> None:
    """By the stage that loads Gemma, whatever upstream does before it."""
    alone = [run("one prompt, prequantized", 3.0)]
    assert checks(alone, 7 * GIB) == []
    both = [run("one prompt, --gemma-4bit", 4.6), *alone]
    assert [check["passed"] for check in checks(both, 7 * GIB)] == [True, True]
    both = [run("one prompt, --gemma-4bit", 4.4), *alone]
    assert [check["passed"] for check in checks(both, 9 * GIB)] == [False, False]
    assert not checks(both, 0)[1]["passed"], "a root that is gone"


def test_a_run_tells_what_its_length_leaves() -> None:
    assert as_try(run("a")) == Try(121, 5 * GIB - SPARE_BYTES)
    assert as_try(run("a", out_of_memory=True)) == Try(121, None)
    assert as_try({**run("a"), "ended_well": False}) is None


TRIES = st.lists(
    st.builds(
        Try, st.integers(1, 150).map(lambda n: 8 * n + 1), st.none() | st.integers(0, 1 << 36)
    ),
    unique_by=lambda one: one.frames,
)


@given(TRIES)
def test_a_search_goes_on_with_what_it_has_tried(tries: list[Try]) -> None:
    about = {"pipeline": "distilled", "size": "768x512"}
    text = json.dumps(with_tries({"runs": []}, about, tries))
    kept = {one.frames: one for one in tries_of(json.loads(text))}
    assert kept.keys() == {one.frames for one in tries}
    for one in tries:
        left = kept[one.frames].left_bytes
        if one.left_bytes is None:
            assert left is None
        else:
            assert left is not None
            assert 0 <= one.left_bytes - left <= GIB // 100 + 1
    assert tries_of({"runs": []}) == []
