"""What is installed, in which order, and what an environment of the user's may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.environment.requirements import (
    accepts,
    fresh_steps,
    joining_steps,
    normalized,
)
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError

PINS = {
    "torch": "2.13.0",
    "torchaudio": "2.11.0",
    "transformers": "4.57.6",
    "bitsandbytes": "0.50.2",
    "numpy": "2.4.6",
}
ACCEPTS = {"torch": ">=2.7", "transformers": ">=4.52,<5", "bitsandbytes": ">=0.47"}
BASE = Base("1.0.0", "url", "0" * 40, "2026-03-11", (), (), PINS, ACCEPTS)


def test_torch_comes_first_and_torchaudio_alone() -> None:
    steps = [(step.wanted, step.dependencies) for step in fresh_steps(PINS, {})]
    assert steps == [
        (("torch==2.13.0",), True),
        (("torchaudio==2.11.0",), False),
        (("transformers==4.57.6", "bitsandbytes==0.50.2", "numpy==2.4.6"), True),
    ]


@given(st.sets(st.sampled_from(sorted(PINS))))
def test_exactly_what_lacks_is_installed(there: set[str]) -> None:
    steps = fresh_steps(PINS, {name: PINS[name] for name in there})
    wanted = {name.partition("==")[0] for step in steps for name in step.wanted}
    assert wanted == PINS.keys() - there


def test_a_build_tag_is_the_machines_matter_and_a_version_is_not() -> None:
    assert fresh_steps(PINS, PINS | {"torch": "2.13.0+cpu"}) == ()
    (step,) = fresh_steps(PINS, PINS | {"torch": "2.12.0"})
    assert step.wanted == ("torch==2.13.0",)


def test_joining_adds_and_never_changes() -> None:
    theirs = {"torch": "2.8.0+cu128", "torchaudio": "2.8.0", "transformers": "4.55.0", "numpy": "1"}
    (step,) = joining_steps(BASE, theirs, "python")
    assert step.wanted == ("bitsandbytes==0.50.2",)


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ({}, "no torch"),
        ({"torch": "2.6.0"}, "torch 2.6.0"),
        ({"torch": "2.8.0", "transformers": "5.8.0"}, "transformers 5.8.0"),
        ({"torch": "2.8.0", "transformers": "4.51.3"}, "transformers 4.51.3"),
        ({"torch": "2.8.0", "bitsandbytes": "0.46.1"}, "bitsandbytes 0.46.1"),
    ],
)
def test_what_does_not_go_with_the_base_is_refused(theirs: dict[str, str], named: str) -> None:
    with pytest.raises(ConflictError, match=named) as caught:
        joining_steps(BASE, theirs, "python")
    assert "without --python" in caught.value.remedy


def test_ranges_and_names() -> None:
    assert accepts(BASE, "transformers", "4.52.0")
    assert accepts(BASE, "transformers", "4.57.6.dev0")
    assert not accepts(BASE, "transformers", "5.0.0rc1")
    assert accepts(replace(BASE, accepts={}), "transformers", "9")
    assert normalized("Pillow_Simd.X") == "pillow-simd-x"


def test_a_name_is_met_however_it_is_spelled() -> None:
    base = replace(BASE, accepts={"some_name": ">=2"}, environment={**PINS, "some_name": "2.0"})
    with pytest.raises(ConflictError, match="some_name 1.0"):
        joining_steps(base, {**PINS, "some-name": "1.0"}, "python")
    assert joining_steps(base, {**PINS, "some-name": "2.1"}, "python") == ()
