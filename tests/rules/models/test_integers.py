"""A request that multiplies 8-bit integers: where that can be had, and with what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltx2_patcher.rules.models.integers import refusal_of_integers
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, PatcherError, UsageError
from tests.rules.models.small_scripts import TWO_STAGE

SCRIPT = replace(
    TWO_STAGE,
    options=TWO_STAGE.options | {"--quantization", "--int8-unrotated", "--int8-keep-ends"},
)
LOADS = ("LTX-2 19B",)
EARLY, WITH, LATE = (
    Abilities("early", LOADS, frozenset()),
    Abilities("with", LOADS, frozenset({"int8-products"})),
    Abilities("late", LOADS, frozenset()),
)
INT8 = ("--quantization", "int8")


def refusal(*words: str, able: Abilities = WITH, script: Pipeline = SCRIPT) -> PatcherError | None:
    return refusal_of_integers(script, parse_argv(script, words), able, [EARLY, WITH, LATE])


@pytest.mark.parametrize("more", [(), ("--int8-unrotated",), ("--int8-keep-ends",)])
def test_it_is_handed_on_as_it_was_given(more: tuple[str, ...]) -> None:
    assert refusal(*INT8, *more) is None
    assert render_argv(SCRIPT, parse_argv(SCRIPT, [*INT8, *more])) == (*INT8, *more)


def test_how_it_is_done_is_said_with_it() -> None:
    for more in ("--int8-unrotated", "--int8-keep-ends"):
        for words in ((more,), ("--quantization", "fp8-cast", more)):
            told = refusal(*words)
            assert isinstance(told, UsageError)
            assert str(told).startswith(more)


def test_a_base_without_it_names_one_that_has_it() -> None:
    for able in (EARLY, LATE):
        told = refusal(*INT8, able=able)
        assert told is not None
        assert str(told) == f"base {able.base} has no --quantization int8"
        assert told.remedy.endswith("base with")
        assert refusal("--quantization", "fp8-cast", able=able) is None


def test_a_tree_of_the_first_groups_alone_takes_the_whole_series() -> None:
    told = refusal(*INT8, able=replace(WITH, can=frozenset()))
    assert isinstance(told, ConflictError)
    assert told.remedy == "take the whole series: `ltx2-patcher apply --base with`"


def test_scripts_of_several_gpus_compute_otherwise() -> None:
    script = replace(SCRIPT, name="distilled_mgpu", several_gpus=True)
    told = refusal(*INT8, script=script)
    assert isinstance(told, UsageError)
    assert told.remedy.startswith("run distilled on one GPU")
