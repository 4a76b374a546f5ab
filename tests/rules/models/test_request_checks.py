"""What no script can make a clip of is told in a sentence, before anything loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request_checks import (
    caution_of_length,
    cautions,
    may_be_cut,
)
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import Request
from tests.rules.models.small_scripts import IN_PARTS, PIPELINES, TWO_STAGE, checked

OTHERS = replace(TWO_STAGE, options=TWO_STAGE.options | {"--stg-scale", "--negative-prompt"})


@given(st.integers(-100, 1000))
def test_exactly_8k_plus_1_frames_are_taken(frames: int) -> None:
    arguments = ["--num-frames", str(frames)]
    if frames > 0 and frames % 8 == 1:
        checked(TWO_STAGE, arguments)
        return
    with pytest.raises(UsageError) as caught:
        checked(TWO_STAGE, arguments)
    offered = caught.value.remedy.removeprefix("give ").split(" or ")
    for number in offered:
        checked(TWO_STAGE, ["--num-frames", number])


@given(st.sampled_from(PIPELINES), st.sampled_from(["--width", "--height"]), st.integers(-99, 2000))
def test_exactly_divisible_sizes_are_taken(pipeline: Pipeline, option: str, size: int) -> None:
    arguments = [f"{option}={size}"]
    if pipeline.divisor is None or (size > 0 and size % pipeline.divisor == 0):
        checked(pipeline, arguments)
        return
    with pytest.raises(UsageError) as caught:
        checked(pipeline, arguments)
    for number in caught.value.remedy.removeprefix("give ").split(" or "):
        checked(pipeline, [option, number])


@pytest.mark.parametrize(("prompt", "told"), [("", True), (" \n", True), (".", False)])
def test_an_empty_prompt_is_told(prompt: str, told: bool) -> None:
    found = cautions(TWO_STAGE, Request("two", prompt=prompt))
    assert [one.fact for one in found] == ["the prompt is empty"] * told


SIXTY_FOUR_BITS = range(-(2**63), 2**64)


@given(st.integers(-(2**66), 2**66))
def test_seeds_of_64_bits_are_taken(seed: int) -> None:
    words = ["--seed", str(seed)]
    if seed in SIXTY_FOUR_BITS:
        assert checked(TWO_STAGE, words).seed == seed
        return
    with pytest.raises(UsageError, match="64 bits"):
        checked(TWO_STAGE, words)


@pytest.mark.parametrize("rate", ["23.976", "24", "0.5"])
def test_rates_above_0_are_taken(rate: str) -> None:
    assert checked(TWO_STAGE, ["--frame-rate", rate]).frame_rate == float(rate)


@pytest.mark.parametrize(
    ("frames", "rate", "right"),
    [(1, "24", True), (1, "49.9", True), (1, "50", False), (1, "60", False), (9, "60", True)],
)
def test_a_clip_too_short_for_any_sound_is_refused(frames: int, rate: str, right: bool) -> None:
    words = ["--num-frames", str(frames), "--frame-rate", rate]
    if right:
        checked(TWO_STAGE, words)
        return
    with pytest.raises(UsageError, match="makes no sound"):
        checked(TWO_STAGE, words)


@pytest.mark.parametrize("steps", [-3, 0, 1, 2, 40])
def test_steps_that_leave_noise_are_refused(steps: int) -> None:
    words = [f"--num-inference-steps={steps}"]
    if steps >= 2:
        assert checked(TWO_STAGE, words).steps == steps
        return
    with pytest.raises(UsageError, match=f"--num-inference-steps {steps} would leave noise"):
        checked(TWO_STAGE, words)


@pytest.mark.parametrize("option", ["--num-frames", "--width", "--height"])
@pytest.mark.parametrize("number", ["1000001", "1" + "0" * 400])
def test_numbers_that_no_card_holds_are_refused(option: str, number: str) -> None:
    with pytest.raises(UsageError, match=f"{option} .* is more than any card holds"):
        checked(TWO_STAGE, [option, number])


@pytest.mark.parametrize("rate", ["0", "-24", "nan", "inf", "1e999", "fast", "1001", "9" * 400])
def test_other_rates_are_refused(rate: str) -> None:
    with pytest.raises(UsageError, match="--frame-rate"):
        checked(TWO_STAGE, [f"--frame-rate={rate}"])


@pytest.mark.parametrize(
    ("words", "told", "remedy"),
    [
        ("--image a.png", "0 numbers stand behind the path", "PATH FRAME_IDX STRENGTH [CRF]"),
        ("--image a.png 0", ": 1 numbers", "PATH FRAME_IDX STRENGTH [CRF]"),
        ("--image a.png 0 1.0 0 1", ": 4 numbers", "PATH FRAME_IDX STRENGTH [CRF]"),
        ("--image a.png 0.5 1.0", "FRAME_IDX 0.5 is not", "0 for the first"),
        ("--num-frames 9 --image a.png 9 1.0", "FRAME_IDX 9 is not", "0 to 8"),
        ("--image a.png 0 1.5", "STRENGTH 1.5 is not", "0 to 1"),
        ("--image a.png 0 -0.1", "STRENGTH -0.1 is not", "0 to 1"),
        ("--image a.png 0 1.0 52", "CRF 52 is not", "0 to 51"),
        ("--video-conditioning a.mp4", ": 0 numbers", "PATH STRENGTH"),
        ("--video-conditioning a.mp4 2", "STRENGTH 2 is not", "0 to 1"),
        ("--lora a.st 1 2", ": 2 numbers", "PATH [STRENGTH]"),
        ("--spatial-upsampler-path a.st 2", ": 1 numbers", "--spatial-upsampler-path PATH"),
    ],
)
def test_the_numbers_behind_a_file_are_checked(words: str, told: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(TWO_STAGE, words.split())
    assert told in str(caught.value)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "words",
    ["--num-frames 9 --image a.png 8 0 0", "--image a.png -1 1", "--lora a.st", "--lora a.st -1.5"],
)
def test_right_numbers_behind_a_file_are_taken(words: str) -> None:
    assert checked(TWO_STAGE, words.split()).files


GUIDED = replace(TWO_STAGE, options=TWO_STAGE.options | {"--video-cfg-guidance-scale"})


DISTILLED = replace(GUIDED, name="distilled", checkpoint="--distilled-checkpoint-path")


@pytest.mark.parametrize(
    ("pipeline", "name", "told"),
    [
        (DISTILLED, "ltx-2.3-22b-distilled-fp8.safetensors", ""),
        (DISTILLED, "ltx-2-19b-dev.safetensors", "named as a dev model"),
        (DISTILLED, "mine.safetensors", ""),
        (GUIDED, "ltx-2-19b-dev-fp8.safetensors", ""),
        (GUIDED, "ltx-2.3-22b-distilled.safetensors", "named as a distilled model"),
        (TWO_STAGE, "ltx-2.3-22b-distilled.safetensors", ""),
        (GUIDED, "dev-and-distilled-dev.safetensors", ""),
    ],
)
def test_a_checkpoint_for_the_other_kind_of_script_is_told(
    pipeline: Pipeline, name: str, told: str
) -> None:
    found = list(cautions(pipeline, Request(pipeline.name, checkpoint=Path(name))))
    assert len(found) == bool(told)
    assert all(told in one.fact and one.remedy for one in found)


@pytest.mark.parametrize(("tokens", "told"), [(None, False), (1024, False), (1025, True)])
def test_a_prompt_that_is_cut_is_told(tokens: int | None, told: bool) -> None:
    caution = caution_of_length(tokens)
    assert (caution is not None) is told
    if caution is not None:
        assert f"has {tokens} tokens, and only the first 1024 are read" in caution.fact


def test_only_a_prompt_that_may_be_cut_is_counted() -> None:
    assert not may_be_cut(None)
    assert not may_be_cut("a" * 1023)  # with the token that begins each prompt: 1024
    assert may_be_cut("a" * 1024)
    assert may_be_cut("\N{FOX FACE}" * 256)  # a token a byte, where Gemma knows no better


def test_an_offload_that_upstream_does_not_have_is_refused() -> None:
    for quantization in ("fp8-scaled-mm", "nvfp4-cast"):
        words = ["--offload", "disk", "--quantization", quantization]
        with pytest.raises(UsageError, match="--offload disk"):
            checked(IN_PARTS, words)
        checked(IN_PARTS, ["--offload", "none", *words[2:]])
    checked(IN_PARTS, ["--offload", "disk", "--quantization", "fp8-cast"])


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e999", "NaN"])
def test_numbers_of_other_options_are_finite(number: str) -> None:
    with pytest.raises(UsageError, match=r"--stg-scale: .* is no number"):
        checked(OTHERS, [f"--stg-scale={number}"])
    checked(OTHERS, [f"--negative-prompt={number}"])
    checked(OTHERS, ["--stg-scale", "1.5"])


def test_one_value_can_not_be_upsampled() -> None:
    smallest = ["--width", "64", "--height", "64"]
    with pytest.raises(UsageError, match="a single value") as caught:
        checked(TWO_STAGE, [*smallest, "--num-frames", "1"])
    assert caught.value.remedy.startswith("give --num-frames 9")
    checked(TWO_STAGE, [*smallest, "--num-frames", "9"])
    checked(TWO_STAGE, ["--width", "128", "--height", "64", "--num-frames", "1"])
