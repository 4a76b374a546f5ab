"""What is wrong with a command line is told before any model is loaded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.pipelines import Pipeline, parse_pipelines, pick
from ltx2_patcher.rules.models.request import parse_request
from ltx2_patcher.values.errors import InvalidError, UsageError

SHARED = b"""
def parser(p):
    for name in ("--checkpoint-path", "--gemma-root"):
        pass
    p.add_argument("--checkpoint-path")
    p.add_argument("--gemma-root")
    p.add_argument("--height", type=int)
    p.add_argument("--num-frames", type=int)
    p.add_argument("--num-inference-steps", type=int)
    p.add_argument("--width", type=int)
    p.add_argument("--image", nargs="+")
    p.add_argument("--output-path")
    p.add_argument("--gemma-4bit", action="store_true")
    p.add_argument("--gemma-8bit", action="store_true")
"""
TWO = b'''
from ltx_pipelines.utils.args import parser
class TwoStagePipeline:
    """Two stages.

    More.
    """
    def __call__(self):
        assert_resolution(1, 2, is_two_stage=True)
def main():
    parser.add_argument("--spatial-upsampler-path")
if __name__ == "__main__":
    main()
'''
PLAIN = b'"""Write it."""\nif __name__ == "__main__":\n    main()\n'
MANY = b'''"""On many GPUs."""
from ltx_pipelines.two import TwoStagePipeline
from ltx_pipelines.multigpu.runner import Runner
class ManyRunner(Runner):
    pass
if __name__ == "__main__":
    from ltx_pipelines.utils.args import parser
'''
SPLIT = b'''
from ltx_pipelines.utils.args import parser
class SplitPipeline:
    """In parts."""
    def __init__(self, paths, frames: int | AutoDuration):
        self.encoder = PromptEncoder(paths)
        self.parts = paths.transformer(), paths.video_vae()
if __name__ == "__main__":
    parser.add_argument("--transformer-path")
    parser.add_argument("--text-encoder-path")
    parser.add_argument("--video-vae-path")
    parser.add_argument("--audio-vae-path")
    parser.add_argument("--duration-head-path")
    parser.add_argument("--prompt-enhancer-gemma-root")
    parser.add_argument("--enhance-prompt")
    parser.add_argument("--offload")
    parser.add_argument("--quantization")
    parser.add_argument("--enable-fp8")
    parser.add_argument("--hdr")
    parser.add_argument("--video-path")
'''
SOURCES = {
    "many": MANY,
    "split": SPLIT,
    "two": TWO,
    "one": TWO.replace(b"is_two_stage=True", b"is_two_stage=False"),
    "plain": PLAIN,
    "library": b"x = 1",
}
PIPELINES = parse_pipelines(SOURCES, SHARED)
TWO_STAGE = pick(PIPELINES, "two")
IN_PARTS = pick(PIPELINES, "split")


def test_runnable_scripts_are_listed_with_a_line_each() -> None:
    told = [(p.name, p.summary, p.divisor) for p in PIPELINES]
    assert told == [
        ("many", "On many GPUs.", 64),
        ("one", "Two stages.", 32),
        ("plain", "Write it.", None),
        ("split", "In parts.", None),
        ("two", "Two stages.", 64),
    ]
    assert "--spatial-upsampler-path" in TWO_STAGE.options
    assert "--height" in TWO_STAGE.options
    assert not pick(PIPELINES, "plain").options


def test_what_a_script_needs_is_read_off_it_and_off_the_one_it_runs() -> None:
    told = {p.name: (sorted(p.parts), p.tells_length, p.several_gpus) for p in PIPELINES}
    needed = ["--text-encoder-path", "--transformer-path", "--video-vae-path"]
    assert told["split"] == (needed, True, False)
    assert told["two"] == ([], False, False)
    assert told["many"] == ([], False, True)


def test_a_name_is_taken_as_people_write_it() -> None:
    for name in ("two", "ltx_pipelines.two", "two.py"):
        assert pick(PIPELINES, name) is TWO_STAGE
    with pytest.raises(UsageError) as caught:
        pick(PIPELINES, "twoo")
    assert caught.value.remedy == "choose two"


def test_a_source_that_does_not_parse_is_refused() -> None:
    with pytest.raises(InvalidError, match="does not parse"):
        parse_pipelines({"broken": b"def"}, SHARED)


@given(st.integers(-100, 1000))
def test_exactly_8k_plus_1_frames_are_taken(frames: int) -> None:
    arguments = ["--num-frames", str(frames)]
    if frames > 0 and frames % 8 == 1:
        parse_request(TWO_STAGE, arguments)
        return
    with pytest.raises(UsageError) as caught:
        parse_request(TWO_STAGE, arguments)
    offered = caught.value.remedy.removeprefix("give ").split(" or ")
    for number in offered:
        parse_request(TWO_STAGE, ["--num-frames", number])


@given(st.sampled_from(PIPELINES), st.sampled_from(["--width", "--height"]), st.integers(-99, 2000))
def test_exactly_divisible_sizes_are_taken(pipeline: Pipeline, option: str, size: int) -> None:
    arguments = [f"{option}={size}"]
    if pipeline.divisor is None or (size > 0 and size % pipeline.divisor == 0):
        parse_request(pipeline, arguments)
        return
    with pytest.raises(UsageError) as caught:
        parse_request(pipeline, arguments)
    for number in caught.value.remedy.removeprefix("give ").split(" or "):
        parse_request(pipeline, [option, number])


@pytest.mark.parametrize("spelled", ["--num-frames", "--num-f"])
def test_options_are_read_as_argparse_reads_them(spelled: str) -> None:
    for arguments in ([spelled, "12"], [f"{spelled}=12"], [spelled, "9", spelled, "12"]):
        with pytest.raises(UsageError, match="12"):
            parse_request(TWO_STAGE, arguments)
    # A prefix of two options, and a number that is none, are for upstream's parser to refuse.
    parse_request(TWO_STAGE, ["--num", "12", "--num-frames", "many"])


def test_both_gemma_flags_are_refused() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        parse_request(TWO_STAGE, ["--gemma-4bit", "--gemma-8"])
    assert parse_request(TWO_STAGE, ["--gemma-8bit"]).gemma_flag == "8bit"


def test_every_named_file_is_found() -> None:
    given = (
        "--checkpoint-path c.st --gemma-root g --image a.png 0 1.0 --image b.png 8 0.5 "
        "--spatial-upsampler-path u.st --output-path o.mp4"
    )
    request = parse_request(TWO_STAGE, given.split())
    assert (request.checkpoint, request.gemma_root, request.output) == ("c.st", "g", "o.mp4")
    assert request.files == (
        ("--image", "a.png"),
        ("--image", "b.png"),
        ("--spatial-upsampler-path", "u.st"),
    )


SPLIT_MODEL = ["--transformer-path", "t", "--text-encoder-path", "e", "--video-vae-path", "v"]


def test_a_model_in_parts_is_read() -> None:
    more = ["--prompt-enhancer-gemma-root", "g", "--enhance-prompt", "--offload", "cpu"]
    request = parse_request(IN_PARTS, [*SPLIT_MODEL, *more, "--enable-fp8"])
    assert (request.transformer, request.text_encoder) == ("t", ("--text-encoder-path", "e"))
    assert request.split["--video-vae-path"] == "v"
    assert (request.enhancer_root, request.enhances) == ("g", True)
    assert (request.quantization, request.checkpoint, request.frames) == ("fp8-cast", None, False)
    whole = "--checkpoint-path c --gemma-root g --video-vae-path v --quantization nvfp4-cast"
    request = parse_request(IN_PARTS, whole.split())
    assert (request.transformer, request.text_encoder) == ("c", ("--gemma-root", "g"))
    assert request.quantization == "nvfp4-cast"


@pytest.mark.parametrize("lost", [0, 2, 4])
def test_a_part_left_out_is_named(lost: int) -> None:
    given = SPLIT_MODEL[:lost] + SPLIT_MODEL[lost + 2 :]
    with pytest.raises(UsageError, match=SPLIT_MODEL[lost]):
        parse_request(IN_PARTS, given)
    parse_request(IN_PARTS, [*given, "--help"])


def test_an_offload_that_upstream_does_not_have_is_refused() -> None:
    for quantization in ("fp8-scaled-mm", "nvfp4-cast"):
        words = ["--offload", "disk", "--quantization", quantization]
        with pytest.raises(UsageError, match="--offload disk"):
            parse_request(IN_PARTS, words)
        parse_request(IN_PARTS, ["--offload", "none", *words[2:]])
    parse_request(IN_PARTS, ["--offload", "disk", "--quantization", "fp8-cast"])


def test_frames_in_a_folder_are_for_scripts_that_know_hdr() -> None:
    given = ["--video-path", "frames"]
    assert parse_request(IN_PARTS, given).folders == (("--video-path", "frames"),)
    assert parse_request(TWO_STAGE, given).files == (("--video-path", "frames"),)


@given(st.sampled_from([TWO_STAGE, IN_PARTS]), st.lists(st.text()))
def test_any_arguments_are_answered_or_refused(pipeline: Pipeline, arguments: list[str]) -> None:
    try:
        parse_request(pipeline, arguments)
    except UsageError as error:
        assert error.remedy
