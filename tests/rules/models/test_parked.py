"""A request that keeps its weights in host memory: where that can be had, and with what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.rules.models.parked import refusal_of_parking
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.values.abilities import Abilities, Ability
from ltx2_patcher.values.errors import PatcherError, UsageError
from tests.rules.models.small_scripts import TWO_STAGE

SCRIPT = replace(
    TWO_STAGE,
    options=TWO_STAGE.options
    | {"--vram-budget", "--host-budget", "--weights-folder", "--compile", "--offload"},
)
PARKS: frozenset[Ability] = frozenset({"parks-weights"})
LOADS = ("LTX-2 19B",)
EARLY, PARKED, LATE = (
    Abilities("early", LOADS, frozenset()),
    Abilities("parked", LOADS, PARKS),
    Abilities("late", LOADS, frozenset()),
)
BASES = [EARLY, PARKED, LATE]


def refusal(*words: str, able: Abilities = PARKED) -> PatcherError | None:
    return refusal_of_parking(SCRIPT, parse_argv(SCRIPT, words), able, BASES)


@pytest.mark.parametrize("budget", ["auto", "6.5", "22"])
def test_a_budget_is_handed_on_as_it_was_given(budget: str) -> None:
    given = ("--vram-budget", budget, "--host-budget", budget)
    assert render_argv(SCRIPT, parse_argv(SCRIPT, given)) == given
    assert refusal(*given) is None


def test_a_folder_for_weights_goes_with_a_budget() -> None:
    words = ("--weights-folder", "/dev/shm/ltx2")
    request = parse_argv(SCRIPT, ["--vram-budget", "auto", *words])
    assert request.weights_folder == Path("/dev/shm/ltx2")
    assert render_argv(SCRIPT, request) == (*words, "--vram-budget", "auto")
    assert refusal(*words, "--vram-budget", "auto") is None
    told = refusal(*words)
    assert isinstance(told, UsageError)
    assert "give --vram-budget auto too" in told.remedy


@pytest.mark.parametrize("option", ["--vram-budget", "--host-budget"])
@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "much", ""])
def test_no_budget_is_none(option: str, budget: str) -> None:
    with pytest.raises(UsageError, match=option):
        parse_argv(SCRIPT, [f"{option}={budget}"])


def test_a_base_without_it_names_one_that_has_it() -> None:
    for able in (EARLY, LATE):
        told = refusal("--vram-budget", "auto", able=able)
        assert told is not None
        assert str(told) == f"base {able.base} has no --vram-budget"
        assert told.remedy.endswith("base parked")
    assert refusal(able=EARLY) is None


def test_a_tree_of_the_first_groups_alone_takes_the_whole_series() -> None:
    told = refusal("--vram-budget", "auto", able=replace(PARKED, can=frozenset()))
    assert told is not None
    assert told.remedy == "take the whole series: `ltx2-patcher apply --base parked`"


@pytest.mark.parametrize(
    "words",
    [
        ("--offload", "cpu"),
        ("--compile", "capture=true"),
        ("--compile", "backend=inductor", "mode=max-autotune"),
    ],
)
def test_what_can_not_go_with_it_is_named(words: tuple[str, ...]) -> None:
    told = refusal("--vram-budget", "auto", *words)
    assert told is not None
    assert words[0] in f"{told} {told.remedy}"
    assert refusal(*words) is None
    assert refusal("--vram-budget", "auto", "--compile") is None


def test_it_is_of_one_gpu() -> None:
    several = replace(SCRIPT, name="ti2vid_two_stages_mgpu", several_gpus=True)
    request = parse_argv(several, ["--vram-budget", "auto"])
    told = refusal_of_parking(several, request, PARKED, BASES)
    assert told is not None
    assert told.remedy == "run ti2vid_two_stages on one GPU, or leave it out"
