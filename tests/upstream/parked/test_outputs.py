"""Kept outputs: copies that nobody can change, the last used, no more than there is room for."""

from typing import NamedTuple

import torch
from ltx_core.parked.outputs import KeptOutputs


class Output(NamedTuple):
    """As upstream's: one tensor may be missing."""

    video: torch.Tensor
    audio: torch.Tensor | None


def output(value: float) -> Output:
    """Eight bytes."""
    return Output(torch.full((2,), value), None)


def test_nobody_can_change_what_is_kept() -> None:
    outputs = KeptOutputs(64)
    made = [output(1.0), output(2.0)]
    outputs.keep("key", made)
    made[0].video.zero_()
    for _ in range(2):
        taken = outputs.copies("key")
        assert taken is not None
        assert [type(each) for each in taken] == [Output, Output]
        first, second = taken
        assert isinstance(first, Output) and first.audio is None
        assert (first.video.tolist(), second[0].tolist()) == ([1.0, 1.0], [2.0, 2.0])
        first.video.zero_()


def test_those_go_that_were_not_used_for_longest() -> None:
    outputs = KeptOutputs(16)
    outputs.keep("one", [output(1.0)])
    outputs.keep("two", [output(2.0)])
    assert outputs.copies("one") is not None
    outputs.keep("three", [output(3.0)])
    assert outputs.copies("two") is None
    assert outputs.copies("one") is not None and outputs.copies("three") is not None
    outputs.keep("large", [output(4.0), output(5.0)])
    assert outputs.copies("one") is None and outputs.copies("three") is None
    assert outputs.copies("large") is not None


def test_what_has_no_room_alone_is_not_kept() -> None:
    outputs = KeptOutputs(15)
    outputs.keep("large", [output(1.0), output(2.0)])
    assert outputs.copies("large") is None


def test_what_inference_made_is_given_to_inference_and_to_others() -> None:
    outputs = KeptOutputs(64)
    with torch.inference_mode():
        outputs.keep("key", [output(1.0)])
        within = outputs.copies("key")
    without = outputs.copies("key")
    assert within is not None and within[0][0].is_inference()
    assert without is not None and not without[0][0].is_inference()
