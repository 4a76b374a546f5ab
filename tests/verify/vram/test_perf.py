"""A stage is slower where its median moved by more than the baseline's own runs lay apart."""

from __future__ import annotations

import json

import pytest

from ltx2_patcher.values.errors import InvalidError
from verify.vram.perf import BASELINE, changes, is_of

BEFORE = {"stage 1": [10.0, 10.4, 10.2], "stage 2": [5.0, 5.0, 5.0]}


def test_what_lies_within_the_noise_is_as_before() -> None:
    found = changes(BEFORE, {"stage 1": [10.5, 10.6, 10.6], "stage 2": [5.04, 5.0, 5.04]})
    assert [change.slower for change in found] == [False, False]


def test_what_lies_beyond_is_slower_and_says_so() -> None:
    slow, same = changes(BEFORE, {"stage 1": [11.0, 10.9, 10.7], "stage 2": [4.0, 4.1, 3.9]})
    assert (slow.slower, same.slower) == (True, False)
    assert (slow.before_s, slow.now_s) == (10.2, 10.9)
    assert slow.noise_s == pytest.approx(0.4)
    assert "SLOWER" in slow.text
    assert "as before" in same.text


def test_other_stages_are_another_request() -> None:
    with pytest.raises(InvalidError, match="record the baseline anew|has the stages"):
        changes(BEFORE, {"stage 1": [1.0]})


def test_another_number_of_steps_or_images_is_another_request() -> None:
    """Of the committed entries, as they are read."""
    keys = ("machine", "base", "model", "pipeline", "size", "frames", "steps", "images", "flags")
    for entry in json.loads(BASELINE.read_text("utf-8")):
        asked = {key: entry[key] for key in keys}
        assert is_of(entry, asked)
        assert not is_of(entry, asked | {"steps": 99})
        assert not is_of(entry, asked | {"images": entry["images"] + 1})
        assert not is_of(entry, asked | {"model": "LTX-2.5 22B"})
