"""Each line of a batch is a request over the common arguments, or a sentence of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.batch import (
    LONGEST_LINE,
    SHOWN_FAULTS,
    Entry,
    Fault,
    Line,
    derived,
    digest,
    faults_of_places,
    last_word,
    numbers_in_words,
    parse_journal,
    read_lines,
    refusal_of_common,
    refusal_of_lines,
    render_entry,
    request_of,
    takes_budget,
    time_in_words,
    time_left_s,
    with_budget,
)
from ltx2_patcher.rules.models.parked import refusal_of_batch
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import (
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from tests.rules.models.small_scripts import PIPELINES, TWO_STAGE

MORE = {"--prompt", "--seed", "--enhance-prompt", "--vram-budget", "--offload"}
PIPELINE = replace(TWO_STAGE, options=TWO_STAGE.options | MORE)
COMMON = ("--prompt", "a fox", "--seed", "1", "--output-path", "out/clip.mp4", "--gemma-4bit")
PARKS = Abilities("new", ("LTX-2 19B",), frozenset({"parks-weights"}))
PLAIN = Abilities("old", ("LTX-2 19B",), frozenset())
values: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([])
)
keys = st.sampled_from(sorted(name.removeprefix("--") for name in PIPELINE.options)) | st.text()


def lines(*texts: str) -> bytes:
    return "\n".join(texts).encode()


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_lines_or_sentences(data: bytes) -> None:
    try:
        found, faults = read_lines(data, "a.jsonl")
    except UsageError:
        return
    numbers = [one.number for one in found] + [fault.number for fault in faults]
    assert len(numbers) == len(set(numbers)) > 0
    assert all(1 <= number <= data.count(b"\n") + 1 for number in numbers)


@given(st.dictionaries(keys, values | st.lists(values | st.lists(values)), max_size=4))
def test_any_object_is_a_request_or_a_sentence(options: dict[str, object]) -> None:
    try:
        found, _ = read_lines(json.dumps(options).encode(), "a.jsonl")
        request = request_of(PIPELINE, COMMON, found[0]) if found else None
    except UsageError as error:
        assert error.remedy
    else:
        if request:
            assert parse_argv(PIPELINE, render_argv(PIPELINE, request)) == request


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "no JSON: Expecting property name"),
        ("[1]", "[1] is no JSON object"),
        ('"fox"', '"fox" is no JSON object'),
        ('{"seed": NaN}', "no JSON: NaN is no number"),
        ('{"seed": 1, "seed": 2}', "seed is given twice"),
        ('{"num-frames": 9, "num_frames": 9}', "num_frames is given twice"),
        ('{"prompt": "\\ud83e"}', "no JSON: it holds half a character"),
        ("[" * 100_000, "no JSON: it is nested too deeply"),
        ('{"seed": ' + "9" * 5000 + "}", "no JSON: Exceeds the limit"),
        ('{"prompt": "' + "x" * LONGEST_LINE + '"}', "it has 131,086 bytes"),
    ],
)
def test_what_is_no_object_is_a_sentence(line: str, told: str) -> None:
    found, faults = read_lines(lines('{"seed": 1}', line), "a.jsonl")
    assert [one.number for one in found] == [1]
    assert [one.number for one in faults] == [2]
    assert str(faults[0].error).startswith(told)


def test_a_line_in_another_code_is_a_sentence() -> None:
    _, faults = read_lines('{"prompt": "café"}'.encode("latin-1"), "a.jsonl")
    assert str(faults[0].error) == "no JSON: it is no text in UTF-8"
    with pytest.raises(UsageError, match="is no text"):
        read_lines('{"prompt": "fox"}'.encode("utf-16"), "a.jsonl")


def test_comments_and_blank_lines_are_passed_by() -> None:
    found, faults = read_lines(b'\xef\xbb\xbf# a\r\n\r\n  {"seed": 1}\r\n', "a.jsonl")
    assert (found, faults) == ([Line(3, {"seed": 1})], [])
    with pytest.raises(UsageError, match="holds no line"):
        read_lines(b"# a\n\n", "a.jsonl")


def test_a_line_stands_over_the_common_arguments() -> None:
    image = ("--image", "a.png", "0", "1.0", "--image", "b.png", "8", "1.0")
    line = Line(7, {"seed": 2, "gemma-4bit": False, "image": [["c.png", 0, 0.5]]})
    wanted = "--prompt|a fox|--seed|2|--output-path|out/clip-007.mp4|--image|c.png|0|0.5"
    assert request_of(PIPELINE, (*COMMON, *image), line) == parse_argv(PIPELINE, wanted.split("|"))
    assert request_of(PIPELINE, (*COMMON, *image), Line(1, {"image": []})).images == 0
    assert request_of(PIPELINE, COMMON, Line(1, {"prompt": None})).prompt is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seeds": 1}, "two has no seeds"),
        ({"--seed": 1}, "two has no --seed"),
        ({"prompt": {"text": "fox"}}, '--prompt: {"text": "fox"} is neither text nor a number'),
        ({"image": [["a.png", 0, 1.0], "b.png"]}, '--image: ["a.png", 0, 1.0] is neither text'),
        ({"seed": "many"}, "--seed many is no whole number"),
        ({"gemma-8bit": True}, "--gemma-4bit and --gemma-8bit exclude each other"),
    ],
)
def test_a_wrong_option_is_a_sentence(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_of(PIPELINE, COMMON, Line(1, options))
    assert str(caught.value).startswith(told)


def test_the_place_is_the_lines_own_or_derived() -> None:
    for none in (None, False):
        assert request_of(PIPELINE, COMMON, Line(12, {"output-path": none})).output == Path(
            "out/clip-012.mp4"
        )
    given_one = request_of(PIPELINE, COMMON, Line(12, {"output_path": "fox.mp4"}))
    assert given_one.output == Path("fox.mp4")
    with pytest.raises(UsageError, match="nothing tells where"):
        request_of(PIPELINE, ("--seed", "1"), Line(1, {}))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_derived_places_differ_as_their_lines(one: int, other: int) -> None:
    common = Path("out/clip.mp4")
    assert (derived(common, one) == derived(common, other)) == (one == other)
    assert derived(common, one).parent == common.parent


def test_two_lines_of_one_place_are_named() -> None:
    places = [(1, Path("/a")), (2, Path("/b")), (5, Path("/a")), (6, Path("/a"))]
    told = [(one.number, str(one.error)) for one in faults_of_places(places)]
    assert told == [
        (5, "lines 1 and 5 have one output path, /a"),
        (6, "lines 1 and 6 have one output path, /a"),
    ]


def test_common_options_that_no_script_takes_are_refused_once() -> None:
    assert refusal_of_common(PIPELINE, COMMON) is None
    assert refusal_of_common(PIPELINE, ("--num-f", "9")) is None
    refusal = refusal_of_common(PIPELINE, ("--num-framez", "9"))
    assert refusal is not None and refusal.remedy == "give num_frames"


def test_the_budget_is_given_where_nobody_names_it_and_it_can_go_with_all() -> None:
    def taken(*more: str, able: Abilities = PARKS, **options: object) -> bool:
        line, common = Line(1, options), (*COMMON, *more)
        return takes_budget(PIPELINE, common, [line], [request_of(PIPELINE, common, line)], able)

    assert taken()
    assert not taken("--vram-budget", "8")
    assert not taken(vram_budget=None)
    assert not taken("--offload", "cpu")
    assert not taken(able=PLAIN)
    line = Line(1, {})
    request = request_of(TWO_STAGE, COMMON[:0], Line(1, {"output-path": "a.mp4"}))
    assert not takes_budget(TWO_STAGE, (), [line], [request], PARKS)


def test_a_digest_is_of_what_makes_the_clip() -> None:
    request, place = request_of(PIPELINE, COMMON, Line(1, {})), Path("/out/clip.mp4")
    made = digest(PIPELINE, "1.0.0", request, place)
    parked = with_budget(
        replace(request, host_budget=8, weights_folder=Path("/dev/shm/ltx2")),
    )
    assert made == digest(PIPELINE, "1.0.0", parked, place)
    others = {
        digest(PIPELINE, "1.0.0", replace(request, seed=2), place),
        digest(PIPELINE, "1.2.0", request, place),
        digest(PIPELINE, "1.0.0", request, Path("/else/clip.mp4")),
        digest(replace(PIPELINE, name="other"), "1.0.0", request, place),
    }
    assert len(others - {made}) == 4
    odd = replace(request, checkpoint=Path("/caf\udce9"))
    assert digest(PIPELINE, "1.0.0", odd, place) != made


entries = st.builds(Entry, st.text(), st.text(), st.integers(0))


@given(st.lists(entries), st.binary(max_size=40), st.data())
def test_a_journal_is_read_back_but_for_torn_lines(
    written: list[Entry], noise: bytes, data: st.DataObject
) -> None:
    whole = "".join(map(render_entry, written)).encode()
    assert parse_journal(whole) == {entry.place: entry for entry in written}
    cut_at = data.draw(st.integers(0, len(whole)))
    kept = whole[:cut_at].count(b"\n")
    torn = parse_journal(whole[:cut_at] + b"\n" + whole)
    assert torn == parse_journal(whole)
    assert len(parse_journal(whole[:cut_at])) <= kept + 1
    parse_journal(noise)


def test_all_faults_are_told_at_once_and_bounded() -> None:
    def told(*errors: PatcherError) -> PatcherError:
        return refusal_of_lines("a.jsonl", 99, [Fault(n, e) for n, e in enumerate(errors, 1)])

    lost = UsageError("no file", remedy="check")
    torn = InvalidError("torn", remedy="fetch it")
    assert str(told(lost, torn)).splitlines() == [
        "2 of 99 lines of a.jsonl can't be rendered, and none was begun",
        "  line 1: no file",
        "    to do: check",
        "  line 2: torn",
        "    to do: fetch it",
    ]
    assert "lines 1, 2, 3 and 196 more: no file" in str(told(*[lost] * 199))
    many = told(*(UsageError(f"fault {n}", remedy="check") for n in range(30)))
    assert str(many).count("to do") == SHOWN_FAULTS
    assert str(many).endswith("and 10 more lines")
    assert [told(*e).exit_code for e in ((torn, torn), (lost,), (torn, lost))] == [5, 2, 2]


@given(st.lists(st.integers(1, 999), min_size=1, max_size=9, unique=True).map(sorted))
def test_numbers_are_named_or_counted(numbers: list[int]) -> None:
    words = numbers_in_words(numbers)
    assert words.startswith("line")
    assert str(numbers[0]) in words and (len(numbers) > 4) == words.endswith("more")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(0, 999), st.floats(0, 1e7))
def test_time_left_is_between_none_and_the_slowest(
    finished: list[float], left: int, elapsed: float
) -> None:
    found = time_left_s(finished, left, elapsed)
    assert found is not None and 0 <= found <= max(finished) * left + 1e-6
    assert time_left_s([], left) is None
    assert time_in_words(found)


def test_time_left_is_by_the_median() -> None:
    assert time_left_s([90, 10, 12], 5) == 60
    assert time_left_s([90, 10, 12], 5, 4) == 56
    assert [time_in_words(s) for s in (45, 720, 11100)] == ["45 s", "12 min", "3 h 5 min"]


def test_the_last_word_is_none_of_a_bar() -> None:
    log = "loading\nno such LoRA\n  to do: check it\n 50%|####     | 4/8 [00:01<00:01]\r\n\n"
    assert last_word(log) == "no such LoRA"
    assert last_word(" 50%|##  | 1/2\n") == ""


def test_a_batch_is_refused_with_the_base_that_has_it() -> None:
    others = (PLAIN, PARKS)
    clip = replace(TWO_STAGE, options=TWO_STAGE.options | {"--output-path"})
    assert refusal_of_batch(clip, PARKS, others) is None
    refusal = refusal_of_batch(clip, PLAIN, others)
    assert isinstance(refusal, UsageError)
    assert str(refusal) == "base old has no --batch"
    assert refusal.remedy == "run a clip at a time, or take base new"
    part = refusal_of_batch(clip, replace(PLAIN, base="new"), others)
    assert isinstance(part, ConflictError) and "the group that --batch is of" in str(part)
    many = next(one for one in PIPELINES if one.several_gpus)
    assert "several GPUs" in str(refusal_of_batch(many, PARKS, others))
    (plain,) = (one for one in PIPELINES if one.name == "plain")
    assert "makes no clip" in str(refusal_of_batch(plain, PARKS, others))
    assert not isinstance(refusal, OutsideError)
