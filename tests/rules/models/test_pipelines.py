"""What a script is and takes is read off its source."""

from __future__ import annotations

import pytest

from ltx2_patcher.rules.models.pipelines import parse_pipelines, pick
from ltx2_patcher.values.errors import InvalidError, UsageError
from tests.rules.models.small_scripts import PIPELINES, SHARED, TWO, TWO_STAGE


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


def test_the_size_that_a_script_has_of_itself_is_told() -> None:
    assert {p.name: p.size for p in PIPELINES} == {
        "many": (1536, 1024),
        "one": (768, 512),
        "plain": None,
        "split": None,
        "two": (1536, 1024),
    }
    best = TWO.replace(b"main()\n", b"main(params=LTX_2_3_HQ_PARAMS)\n")
    (told,) = parse_pipelines({"best": best}, SHARED)
    assert told.size == (1920, 1088)


def test_a_script_that_rounds_a_rate_is_told() -> None:
    assert [p.name for p in PIPELINES if p.rounds_rate] == ["split"]
    exact = TWO.replace(b"main()\n", b"encode_video(fps=src.fps, n=int(src.frames), m=int(4))\n")
    assert not any(p.rounds_rate for p in parse_pipelines({"exact": exact}, SHARED))


def test_a_name_is_taken_as_people_write_it() -> None:
    for name in ("two", "ltx_pipelines.two", "two.py"):
        assert pick(PIPELINES, name) is TWO_STAGE
    with pytest.raises(UsageError) as caught:
        pick(PIPELINES, "twoo")
    assert caught.value.remedy == "choose two"


def test_a_source_that_does_not_parse_is_refused() -> None:
    with pytest.raises(InvalidError, match="does not parse"):
        parse_pipelines({"broken": b"def"}, SHARED)


def test_the_option_that_names_a_whole_model_is_the_scripts_own() -> None:
    shared = SHARED + b"    p.add_argument('--distilled-checkpoint-path')\n"
    script = b"from ltx_pipelines.utils.args import parser\n%s\nif __name__ == '__main__': main()\n"
    calls = {"distilled": b"parser(distilled=True)", "dev": b"parser(distilled=False)"}
    sources = {name: script % call for name, call in calls.items()}
    named = {p.name: p.checkpoint for p in parse_pipelines(sources, shared)}
    assert named == {"distilled": "--distilled-checkpoint-path", "dev": "--checkpoint-path"}
    early = parse_pipelines(sources, SHARED)  # until 2026-03-04 one option serves every script
    assert {pipeline.checkpoint for pipeline in early} == {"--checkpoint-path"}


def test_options_are_those_of_the_parsers_that_a_script_calls() -> None:
    """Upstream's parsers build on one another, and each script takes one of them."""
    shared = b"""
def base(): p.add_argument("--seed")
def one(): base().add_argument("--negative-prompt")
def two(): one().add_argument("--distilled-lora")
class Method: flag = Flag("--gemma-4bit")
"""
    script = (
        b"from ltx_pipelines.utils.args import one, two\n%s()\nif __name__ == '__main__': main()\n"
    )
    sources = {name: script % name.encode("ascii") for name in ("base", "one", "two")}
    taken = {p.name: p.options - {"--gemma-4bit"} for p in parse_pipelines(sources, shared)}
    assert taken == {
        "base": {"--seed"},
        "one": {"--seed", "--negative-prompt"},
        "two": {"--seed", "--negative-prompt", "--distilled-lora"},
    }
