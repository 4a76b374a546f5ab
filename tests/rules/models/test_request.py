"""A request is the same however it is written, and what is wrong with it is told in a sentence."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import parse_argv, parse_mapping, render_argv
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import InputFile, Request
from tests.rules.models.small_scripts import IN_PARTS, TWO_STAGE, checked


@pytest.mark.parametrize("spelled", ["--num-frames", "--num-f"])
def test_options_are_read_as_argparse_reads_them(spelled: str) -> None:
    for arguments in ([spelled, "12"], [f"{spelled}=12"], [spelled, "9", spelled, "12"]):
        with pytest.raises(UsageError, match="12"):
            checked(TWO_STAGE, arguments)
    # A prefix of two options is for upstream's parser to refuse.
    assert checked(TWO_STAGE, ["--num", "12"]).others == (("--num", (12,)),)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--num-frames many", "--num-frames many is no whole number"),
        ("--width 768 512", "--width takes one value, and 2 are given"),
        ("--width", "--width takes a value, and none is given"),
        ("--gemma-4bit no", "--gemma-4bit takes no value, and 'no' stands behind it"),
        ("--enhance-prompt no", "--enhance-prompt takes no value, and 'no' stands behind it"),
        ("--enable-fp8=0", "--enable-fp8 takes no value, and '0' stands behind it"),
        ("--image a.png first", "--image: first is no number"),
        ("768 --height 512", "'768' stands before any option"),
    ],
)
def test_what_is_no_number_or_no_value_is_one_sentence(words: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_argv(TWO_STAGE, words.split())
    assert str(caught.value) == told


@pytest.mark.parametrize("value", ["-x", "--x", "--help", "-1", "--two words", "-", "a=b", ""])
def test_a_value_that_begins_with_a_dash_reaches_the_script_as_it_is(value: str) -> None:
    parser = ArgumentParser()
    parser.add_argument("--prompt")
    parser.add_argument("--output-path")
    parser.add_argument("--image", nargs="+")
    parser.add_argument("--voice")
    given = [f"--prompt={value}", f"--output-path=./{value}", f"--voice={value}"]
    request = parse_argv(TWO_STAGE, [*given, "--image", f"./{value or '-'}", "0", "1.0"])
    read = parser.parse_args(render_argv(TWO_STAGE, request))
    assert (read.prompt, read.voice) == (value, value)
    assert Path(read.output_path) == Path(value)
    assert (Path(read.image[0]), read.image[1:]) == (Path(value or "-"), ["0", "1.0"])
    assert parse_argv(TWO_STAGE, render_argv(TWO_STAGE, request)) == request


def test_what_has_a_space_in_it_is_a_value_where_it_names_no_option() -> None:
    for spelled in (["--prompt", "--a fox, seen"], ["--prompt=--a fox, seen"]):
        assert parse_argv(TWO_STAGE, spelled).prompt == "--a fox, seen"
    request = parse_argv(TWO_STAGE, ["--prompt=a fox", "--output=a clip.mp4"])
    assert (request.prompt, request.output) == ("a fox", Path("a clip.mp4"))


@pytest.mark.parametrize("option", ["prompt", "voice"])
@pytest.mark.parametrize("text", [os.fsdecode(b"caf\xe9"), "\ud83e", "a\0b"])
def test_text_that_can_not_be_written_out_is_refused(option: str, text: str) -> None:
    pipeline = replace(TWO_STAGE, options=TWO_STAGE.options | {"--prompt", "--voice"})
    with pytest.raises(UsageError, match=f"--{option}: .* is no text in UTF-8") as caught:
        parse_mapping(pipeline, {option: text})
    assert str(caught.value).isascii()


def test_both_gemma_flags_are_refused() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        checked(TWO_STAGE, ["--gemma-4bit", "--gemma-8"])
    assert checked(TWO_STAGE, ["--gemma-8bit"]).gemma == "8bit"


def test_every_named_file_is_found() -> None:
    given = (
        "--checkpoint-path c.st --gemma-root g --image a.png 0 1.0 --image b.png 8 0.5 "
        "--spatial-upsampler-path u.st --output-path o.mp4"
    )
    request = checked(TWO_STAGE, given.split())
    paths = (Path("c.st"), Path("g"), Path("o.mp4"))
    assert (request.checkpoint, request.gemma_root, request.output) == paths
    assert request.files == (
        InputFile("--image", Path("a.png"), (0, 1.0)),
        InputFile("--image", Path("b.png"), (8, 0.5)),
        InputFile("--spatial-upsampler-path", Path("u.st")),
    )
    assert request.images == 2


SPLIT_MODEL = ["--transformer-path", "t", "--text-encoder-path", "e", "--video-vae-path", "v"]


def test_a_model_in_parts_is_read() -> None:
    more = ["--prompt-enhancer-gemma-root", "g", "--enhance-prompt", "--offload", "cpu"]
    request = checked(IN_PARTS, [*SPLIT_MODEL, *more, "--enable-fp8"])
    assert request.transformer == Path("t")
    assert request.text_encoder == ("--text-encoder-path", Path("e"))
    assert request.parts["--video-vae-path"] == Path("v")
    assert (request.enhancer_root, request.enhances) == (Path("g"), True)
    assert (request.quantization, request.checkpoint, request.frames) == ("fp8-cast", None, None)
    whole = "--checkpoint-path c --gemma-root g --video-vae-path v --quantization nvfp4-cast"
    request = checked(IN_PARTS, whole.split())
    assert request.transformer == Path("c")
    assert request.text_encoder == ("--gemma-root", Path("g"))
    assert request.quantization == "nvfp4-cast"


@pytest.mark.parametrize("lost", [0, 2, 4])
def test_a_part_left_out_is_named(lost: int) -> None:
    given = SPLIT_MODEL[:lost] + SPLIT_MODEL[lost + 2 :]
    with pytest.raises(UsageError, match=SPLIT_MODEL[lost]):
        checked(IN_PARTS, given)


@given(st.sampled_from([TWO_STAGE, IN_PARTS]), st.lists(st.text()))
def test_any_arguments_are_answered_or_refused(pipeline: Pipeline, arguments: list[str]) -> None:
    try:
        checked(pipeline, arguments)
    except UsageError as error:
        assert error.remedy


WORDS = st.text("abc ~/._=", min_size=1)
OPTIONS = st.one_of(
    st.tuples(st.sampled_from(["--width", "--height", "--num-frames"]), st.tuples(st.integers())),
    st.tuples(st.sampled_from(["--gemma-root", "--output-path", "--video-path"]), st.tuples(WORDS)),
    st.tuples(st.just("--image"), st.tuples(WORDS, st.integers(0, 300), st.floats(0, 1))),
    st.tuples(st.just("--checkpoint-path"), st.tuples(WORDS)),
    st.tuples(st.just("--quantization"), st.tuples(st.sampled_from(["fp8-cast", "nvfp4-cast"]))),
    st.tuples(st.sampled_from(["--gemma-8bit", "--enhance-prompt"]), st.just(())),
    st.tuples(st.sampled_from(["--hdr", "--num-inference-steps"]), st.tuples(st.integers())),
    st.tuples(st.just("--offload"), st.tuples(st.sampled_from(["none", "cpu", "disk"]))),
)


@given(st.sampled_from([TWO_STAGE, IN_PARTS]), st.lists(OPTIONS))
def test_what_is_rendered_is_read_back(
    pipeline: Pipeline, options: list[tuple[str, tuple[object, ...]]]
) -> None:
    words = [word for option, values in options for word in (option, *map(str, values))]
    request = parse_argv(pipeline, words)
    assert parse_argv(pipeline, render_argv(pipeline, request)) == request


CONVERT = replace(
    TWO_STAGE, name="convert", options=frozenset({"inputs", "--output", "--to", "--for"})
)


@given(st.lists(WORDS | st.integers(0, 99).map(str), min_size=1))
def test_files_that_a_script_takes_by_their_place_stay_there(files: list[str]) -> None:
    after = ["--output", "out", "--to", "4bit"]
    request = parse_argv(CONVERT, [*files, *after])
    assert render_argv(CONVERT, request) == (*files, *after)
    behind = parse_argv(CONVERT, [*after, *files])
    assert render_argv(CONVERT, behind) == (*after, *files)


def test_a_mapping_and_a_command_line_make_the_same_request() -> None:
    words = (
        "--checkpoint-path c.st --gemma-root g --image a.png 0 1.0 --image b.png 8 0.5 "
        "--width 768 --height 512 --num-frames 121 --num-inference-steps 8 --gemma-4bit "
        "--spatial-upsampler-path u.st --output-path o.mp4"
    )
    mapping = {
        "checkpoint_path": "c.st",
        "gemma_root": "g",
        "image": [["a.png", 0, 1.0], ["b.png", 8, 0.5]],
        "width": 768,
        "height": 512,
        "num_frames": 121,
        "num_inference_steps": 8,
        "gemma_4bit": True,
        "gemma_8bit": False,
        "spatial_upsampler_path": "u.st",
        "output_path": "o.mp4",
    }
    assert parse_mapping(TWO_STAGE, mapping) == parse_argv(TWO_STAGE, words.split())
    assert parse_mapping(TWO_STAGE, {**mapping, "width": None}).width is None


@pytest.mark.parametrize(
    ("mapping", "told", "remedy"),
    [
        ({"num_frame": 121}, "two has no num_frame", "give num_frames"),
        ({"zzz": 1}, "two has no zzz", "leave it out"),
        ({"width": True}, "--width takes a value", "give --width one value"),
        ({"width": 7.5}, "--width 7.5 is no whole number", "give --width a whole number"),
        ({"output_path": 3}, "--output-path: 3 is no path", "a file's path"),
        ({"image": [["a.png", "x"]]}, "--image: x is no number", "a number there"),
        ({"gemma_4bit": True, "gemma_8bit": True}, "exclude each other", "give one"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(
    mapping: dict[str, object], told: str, remedy: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        parse_mapping(TWO_STAGE, mapping)
    assert remedy in caught.value.remedy


def test_fp8_is_asked_for_in_the_words_of_the_pipeline() -> None:
    request = Request("split", quantization="fp8-cast")
    assert render_argv(IN_PARTS, request) == ("--quantization", "fp8-cast")
    early = replace(TWO_STAGE, options=TWO_STAGE.options | {"--enable-fp8"})
    assert render_argv(early, request) == ("--enable-fp8",)
    scaled = parse_argv(IN_PARTS, ["--quantization", "fp8-scaled-mm", "amax.json"])
    assert (scaled.quantization, scaled.calibration) == ("fp8-scaled-mm", Path("amax.json"))
