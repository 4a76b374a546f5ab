"""Budgets, limits and verdicts: what fits passes, what does not says by how much and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, Card, parse_card, whole_card
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.rules.models.workload import Workload, workload_of
from ltx2_patcher.values.errors import InvalidError, UsageError
from verify.vram.judge import Limit, VramVerdict, absent, applies, judged
from verify.vram.limits import read_limits
from verify.vram.stages import Stage

CARD = parse_card("24GB")
WORDS = "--width=768 --height 512 --num-frames 121 --gemma-4bit --quantization fp8-cast"
SCRIPT = Pipeline(
    "distilled",
    summary="",
    divisor=64,
    size=(1536, 1024),
    options=frozenset(
        {
            "--width",
            "--height",
            "--num-frames",
            "--num-inference-steps",
            "--gemma-4bit",
            "--gemma-8bit",
            "--quantization",
            "--prompt",
            "--image",
            "--seed",
        }
    ),
    checkpoint="--checkpoint-path",
    parts=frozenset(),
    tells_length=False,
    several_gpus=False,
    makes="video",
    rounds_rate=False,
)


def workload(pipeline: Pipeline, words: Sequence[str]) -> Workload:
    return workload_of(pipeline, parse_argv(pipeline, words))


ASKED = workload(SCRIPT, [*WORDS.split(), "--prompt", "a --gemma-8bit fox"])


def stage(name: str, reserved_gib: float, host_gib: float = 1.0) -> Stage:
    reserved = int(reserved_gib * GIB)
    return Stage(name, 1.0, 1.0, reserved, reserved, None, int(host_gib * GIB), 0, None)


def test_a_3090_is_held_to_what_torch_can_have_there() -> None:
    assert CARD.nominal_bytes == 24 * GIB
    assert CARD.usable_bytes / GIB == pytest.approx(23.6)
    assert CARD.allocator_bytes / GIB == pytest.approx(22.8)
    assert CARD.name == "24GB"


@pytest.mark.parametrize("text", ["", "GB", "1GB", "-24GB", "24TB", "24 cards"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no budget"):
        parse_card(text)


@pytest.mark.parametrize("text", ["24", "24GB", " 24 gb ", "24g", "24.0GB"])
def test_a_budget_is_read_as_it_is_typed(text: str) -> None:
    assert parse_card(text) == CARD


def test_a_command_line_says_what_memory_depends_on() -> None:
    flags = ("--gemma-4bit", "--quantization fp8-cast")
    assert Workload("distilled", 768, 512, 121, flags) == ASKED
    assert ASKED.transformer_flags == {"--quantization fp8-cast"}
    assert ASKED.tokens == 24 * 16 * 16
    default = workload(SCRIPT, [])
    assert (default.size, default.frames, default.flags) == ("1536x1024", 121, ())


def test_a_command_line_is_read_as_argparse_reads_it() -> None:
    """In short forms too, which decide as much."""
    words = [
        "--num-f",
        "241",
        "--gemma-4",
        "--num-i=2",
        "--image",
        "a.png",
        "0",
        "--image",
        "b.png",
    ]
    asked = workload(SCRIPT, words)
    assert (asked.frames, asked.flags, asked.steps, asked.images) == (241, ("--gemma-4bit",), 2, 2)
    with pytest.raises(UsageError, match="--width wide is no whole number"):
        workload(SCRIPT, ["--width", "wide"])


@pytest.mark.parametrize("words", [["--num-frames", "9"], ["--num-frames=9"], ["--num-f", "9"], []])
def test_another_length_replaces_the_first(words: list[str]) -> None:
    argv = ["--prompt", "a fox", *words, "--seed", "7", "--num-frames", "33"]
    assert workload(SCRIPT, argv).frames == 33


@pytest.mark.parametrize(
    ("mib", "gib"), [(24576, 24), (81559, 80), (97887, 95), (97871, 95), (40536, 39), (16384, 16)]
)
def test_a_whole_card_is_never_more_than_the_gpu_has(mib: int, gib: int) -> None:
    card = whole_card(mib << 20)
    assert card.nominal_bytes == gib * GIB
    assert card.usable_bytes <= mib << 20
    assert not card.is_smaller_than(mib << 20)


def test_a_larger_gpu_stands_in_for_a_card() -> None:
    assert CARD.is_smaller_than(81559 << 20)
    assert not CARD.is_smaller_than(24576 << 20)


def test_the_budget_counts_the_context() -> None:
    fits = (CARD.usable_bytes - CONTEXT_BYTES) / GIB
    (within,) = judged(ASKED, [stage("stage 2", fits)], CARD, ())
    assert within.passed
    (over,) = judged(ASKED, [stage("stage 2", fits + 0.25)], CARD, ())
    assert not over.passed
    assert "0.25 over the 23.60 allowed; give fewer frames" in over.text


def test_a_stage_of_the_prompt_is_mended_otherwise() -> None:
    (over,) = judged(ASKED, [stage("text encoding", 23.5)], CARD, ())
    assert "add --gemma-4bit" in over.text


LIMIT = Limit(
    ("distilled",),
    "768x512",
    121,
    ("--gemma-4bit",),
    ("--offload cpu",),
    "text encoding",
    "allocated",
    9 * GIB,
    "do",
)


def test_a_limit_is_for_its_requests_alone() -> None:
    assert applies(LIMIT, ASKED)
    assert applies(LIMIT, replace(ASKED, frames=25))
    for other in (
        replace(ASKED, pipeline="ic_lora"),
        replace(ASKED, width=1280),
        replace(ASKED, frames=241),
        replace(ASKED, flags=("--gemma-8bit",)),
        replace(ASKED, flags=(*ASKED.flags, "--offload cpu")),
    ):
        assert not applies(LIMIT, other)


def test_a_limit_may_be_for_none_that_give_an_option_whatever_its_value() -> None:
    limit = replace(LIMIT, without=("--offload", "--vram-budget"))
    assert applies(limit, ASKED)
    for flag in ("--offload cpu", "--offload disk", "--vram-budget 6.5", "--vram-budget auto"):
        assert not applies(limit, replace(ASKED, flags=(*ASKED.flags, flag)))
    assert applies(limit, replace(ASKED, flags=(*ASKED.flags, "--offloaded cpu")))


def test_parked_weights_are_held_to_their_budget_in_each_stage() -> None:
    parts = [stage("text encoding", 6.5), stage("stage 2", 6.75)]
    within, over = judged(ASKED, parts, None, (), 6.5)
    assert within.passed
    assert not over.passed
    assert "stage 2: reserved 6.75 GiB is 0.25 over the 6.50 allowed" in over.text


def test_a_limit_judges_its_stage() -> None:
    found = judged(ASKED, [stage("text encoding", 9.5), stage("stage 1", 20)], None, [LIMIT])
    assert [(f.stage, f.passed) for f in found] == [("text encoding", False)]
    verdict = VramVerdict(found, None)
    assert not verdict.passed
    assert verdict.text == ("text encoding: allocated 9.50 GiB is 0.50 over the 9.00 allowed; do")


def test_a_limit_whose_stage_never_came_up_did_not_hold() -> None:
    limits = [LIMIT, replace(LIMIT, stage=None, measure="host"), replace(LIMIT, flags=("--no",))]
    assert absent(ASKED, [stage("text encoding", 8)], limits) == ()
    missing = absent(ASKED, [stage("stage 1", 20)], limits)
    verdict = VramVerdict((), None, missing)
    assert not verdict.passed
    assert verdict.text.startswith("a limit is for text encoding, which never came up")
    assert VramVerdict((), "out of memory in starting", missing).text == "out of memory in starting"


def test_a_length_that_the_model_chooses_is_not_measured() -> None:
    script = replace(SCRIPT, tells_length=True)
    assert workload(script, ["--num-frames", "121"]).frames == 121
    with pytest.raises(UsageError, match="the model's duration head chooses"):
        workload(script, [])


def test_a_verdict_names_the_tightest_of_what_held() -> None:
    parts = [stage("stage 1", 20), stage("stage 2", 21)]
    verdict = VramVerdict(judged(ASKED, parts, CARD, ()), None)
    assert verdict.passed
    assert "tightest: stage 2" in verdict.text
    assert not VramVerdict((), "out of memory in stage 1").passed
    assert "nothing was judged" in VramVerdict((), None).text


def test_the_limits_that_have_to_hold_are_read() -> None:
    limits = read_limits()
    bounds = {(limit.stage, limit.measure, f"{limit.bound_bytes / GIB:.1f}") for limit in limits}
    prompts = {("text encoding", "allocated", b) for b in ("9.0", "14.2", "10.0", "15.2")}
    assert bounds == prompts | {(None, "host", "6.0"), (None, "card", "23.6")}
    assert all(limit.remedy for limit in limits)
    assert len([limit for limit in limits if applies(limit, ASKED)]) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "limit = 3",
        "[[limit]]\npipelines = ['distilled']\nremedy = 'x'",
        "[[limit]]\npipelines = ['distilled']\nremedy = 'x'\nhost_gib = 1\ncard_gib = 2",
        "[[limit]]\npipelines = ['distilled']\nremedy = 'x'\nhost_gib = 1\nframe = 2",
        "[[limit]]\npipelines = ['distilled']\nhost_gib = 1",
    ],
)
def test_limits_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(InvalidError, match="can't be read"):
        read_limits(path)


def test_a_card_of_another_size_is_one_too() -> None:
    assert Card(16 * GIB).allocator_bytes / GIB == pytest.approx(14.8)
