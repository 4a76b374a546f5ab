"""Command lines and mappings -> Request -> command lines: one request, however it is written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from ltx2_patcher.rules.models.options import (
    BUDGETS,
    CHECKPOINTS,
    FILE_LISTS,
    FILES,
    GEMMA_FLAGS,
    INTEGERS,
    PARTS,
    PATHS,
    given_options,
    is_positional,
)
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.shown import cut, shown
from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import GemmaFlag, InputFile, Request, Value

_CAST = "fp8-cast"
_LARGEST = sys.float_info.max


def parse_argv(pipeline: Pipeline, arguments: Sequence[str]) -> Request:
    """The request of a command line; of an option that stands twice the last counts, as upstream.

    Raises: UsageError for a word in place of a number, a value too many or too few, or both Gemma
    flags. Options that we don't know are left to upstream's own parser.
    """
    return _request(pipeline, given_options(pipeline.options, arguments))


def parse_mapping(pipeline: Pipeline, mapping: Mapping[str, object]) -> Request:
    """The request of a mapping, such as JSON gives: an option's name without dashes -> its value.

    `{"prompt": "a fox", "num_frames": 121, "gemma_4bit": true, "image": [["fox.png", 0, 1.0]]}`.
    What stands several times or takes several values is a list; null, false and an empty list leave
    out.

    Raises: UsageError as `parse_argv`, and for an option that the pipeline does not have.
    """
    return _request(pipeline, _given(pipeline, mapping))


def parse_over(
    pipeline: Pipeline, arguments: Sequence[str], mapping: Mapping[str, object]
) -> Request:
    """The request of a command line with a mapping over it.

    Whatever option that names has the mapping's values alone, and none where those leave it out.

    Raises: UsageError as `parse_argv` and `parse_mapping`.
    """
    over = _given(pipeline, mapping)
    named = set(map(option_of, mapping))
    common = given_options(pipeline.options, arguments)
    kept = [(option, values) for option, values in common if option not in named]
    return _request(pipeline, [*kept, *over])


def option_of(key: str) -> str:
    """The option that a key of a mapping names."""
    return f"--{key.replace('_', '-')}"


def refusal_of_option(pipeline: Pipeline, key: str) -> UsageError | None:
    """Why the pipeline takes no option of that name, given without dashes; None where it does."""
    if option_of(key) in pipeline.options:
        return None
    names = [name.removeprefix("--").replace("-", "_") for name in pipeline.options]
    near = get_close_matches(key, sorted(names), cutoff=0.5)
    return UsageError(
        f"{pipeline.name} has no {cut(key)}",
        remedy=f"give {' or '.join(near)}" if near else "leave it out",
    )


def _given(
    pipeline: Pipeline, mapping: Mapping[str, object]
) -> list[tuple[str, tuple[object, ...]]]:
    given: list[tuple[str, tuple[object, ...]]] = []
    for key, value in mapping.items():
        if refusal := refusal_of_option(pipeline, key):
            raise refusal
        option = option_of(key)
        if value is None or value is False or value == []:
            continue
        if isinstance(value, list) and all(isinstance(one, list) for one in value):
            given += [(option, tuple(one)) for one in value]
        elif isinstance(value, list):
            given.append((option, tuple(value)))
        else:
            given.append((option, () if value is True else (value,)))
    for option, values in given:
        if odd := [value for value in values if isinstance(value, list | dict | None)]:
            raise UsageError(
                f"{option}: {shown(odd[0])} is neither text nor a number",
                remedy=f"give {option} as on a command line; several values are a list",
            )
    return given


def render_argv(pipeline: Pipeline, request: Request) -> tuple[str, ...]:
    """The script's command line for the request; `parse_argv` reads the same request back."""
    options = sorted(_options_of(pipeline, request), key=lambda given: not is_positional(given[0]))
    return tuple(
        word for option, values in options for word in _words(option, list(map(_word, values)))
    )


def _word(value: Value | Path) -> str:
    """The value as a word; a path that would pass for an option begins with its folder."""
    word = str(value)
    return f"./{word}" if isinstance(value, Path) and word.startswith("-") else word


def _words(option: str, values: Sequence[str]) -> Sequence[str]:
    """The option and its values; one that would pass for an option stands behind a sign."""
    if is_positional(option):
        return values
    if len(values) == 1 and values[0].startswith("-"):
        return [f"{option}={values[0]}"]
    return [option, *values]


def _request(pipeline: Pipeline, given: Iterable[tuple[str, tuple[object, ...]]]) -> Request:
    fields: dict[str, Any] = {}
    parts: dict[str, Path] = {}
    files: list[InputFile] = []
    others: list[tuple[str, tuple[Value, ...]]] = []
    gemma: set[GemmaFlag] = set()
    for option, values in given:
        if option in INTEGERS:
            fields[INTEGERS[option]] = _integer(option, _single(option, values))
        elif option == "--frame-rate":
            fields["frame_rate"] = _number(option, _single(option, values))
        elif option == "--prompt":
            fields["prompt"] = _text(option, _single(option, values))
        elif option in PATHS:
            fields[PATHS[option]] = _path(option, _single(option, values))
        elif option in CHECKPOINTS:
            fields["checkpoint"] = _path(option, _single(option, values))
        elif option in PARTS:
            parts[option] = _path(option, _single(option, values))
        elif option in GEMMA_FLAGS:
            _none(option, values)
            gemma.add(GEMMA_FLAGS[option])
        elif option == "--enhance-prompt":
            _none(option, values)
            fields["enhances"] = True
        elif option == "--enable-fp8":
            _none(option, values)
            fields["quantization"] = _CAST
        elif option == "--quantization" and values:
            fields["quantization"] = str(values[0])
            fields["calibration"] = _path(option, values[1]) if values[1:] else None
        elif option == "--offload":
            way = str(_single(option, values))
            fields["offload"] = None if way == "none" else way
        elif option in BUDGETS:
            fields[BUDGETS[option]] = _budget(option, _single(option, values))
        elif option in FILES and values:
            numbers = tuple(_number(option, value) for value in values[1:])
            files.append(InputFile(option, _path(option, values[0]), numbers))
        elif option in FILE_LISTS:
            files += [InputFile(option, _path(option, value)) for value in values]
        else:
            others.append((option, tuple(_value(option, value) for value in values)))
    if len(gemma) > 1:
        raise UsageError(
            "--gemma-4bit and --gemma-8bit exclude each other",
            remedy="give one: 4-bit takes 7.8 GiB, 8-bit 12.7 GiB and is closer to bf16",
        )
    return Request(
        pipeline=pipeline.name,
        parts=parts,
        gemma=next(iter(gemma), None),
        files=tuple(files),
        others=tuple(others),
        **fields,
    )


def _options_of(
    pipeline: Pipeline, request: Request
) -> Iterator[tuple[str, tuple[Value | Path, ...]]]:
    if request.checkpoint is not None:
        yield pipeline.checkpoint, (request.checkpoint,)
    yield from ((option, (path,)) for option, path in request.parts.items())
    for option, name in (*PATHS.items(), *INTEGERS.items()):
        if (value := getattr(request, name)) is not None:
            yield option, (value,)
    if request.frame_rate is not None:
        yield "--frame-rate", (request.frame_rate,)
    if request.prompt is not None:
        yield "--prompt", (request.prompt,)
    if request.enhances:
        yield "--enhance-prompt", ()
    yield from ((option, ()) for option, flag in GEMMA_FLAGS.items() if flag == request.gemma)
    if request.quantization is not None:
        if request.quantization == _CAST and "--quantization" not in pipeline.options:
            yield "--enable-fp8", ()
        else:
            beside = () if request.calibration is None else (request.calibration,)
            yield "--quantization", (request.quantization, *beside)
    if request.offload is not None:
        yield "--offload", (request.offload,)
    for option, name in BUDGETS.items():
        if (budget := getattr(request, name)) is not None:
            yield option, (budget,)
    for option, group in groupby(request.files, key=lambda file: file.option):
        if option in FILE_LISTS:
            yield option, tuple(file.path for file in group)
        else:
            yield from ((option, (file.path, *file.numbers)) for file in group)
    yield from request.others


def _single(option: str, values: Sequence[object]) -> object:
    if len(values) != 1:
        raise UsageError(
            f"{option} takes one value, and {len(values) or 'none'} are given"
            if values
            else f"{option} takes a value, and none is given",
            remedy=f"give {option} one value, in quotes where it has spaces",
        )
    return values[0]


def _none(option: str, values: Sequence[object]) -> None:
    if values:
        raise UsageError(
            f"{option} takes no value, and {values[0]!r} stands behind it",
            remedy=f"give {option} alone, or leave it out",
        )


def _integer(option: str, value: object) -> int:
    try:
        if isinstance(value, int | str) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise UsageError(f"{option} {value} is no whole number", remedy=f"give {option} a whole number")


def _number(option: str, value: object) -> int | float:
    """As it is written: "0" is an integer, "0.5" is not; neither "nan" nor "inf" is a number."""
    for kind in (int, float):
        try:
            number = value if isinstance(value, int | float) else kind(str(value))
        except ValueError:
            continue
        if not isinstance(value, bool) and abs(number) <= _LARGEST:  # no "nan" is
            return number
    raise UsageError(f"{option}: {value} is no number", remedy=f"give {option} a number there")


def _budget(option: str, value: object) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if (budget := _number(option, value)) <= 0:
        raise UsageError(
            f"{option} {budget} leaves nothing", remedy="give auto, or a number of GiB above 0"
        )
    return budget


def _path(option: str, value: object) -> Path:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise UsageError(f"{option}: {value!r} is no path", remedy=f"give {option} a file's path")


def _text(option: str, value: object) -> str:
    """Text that can be written out again: a command line may hold any bytes, and JSON any code."""
    text = str(value)
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    raise UsageError(
        f"{option}: {text!a} is no text in UTF-8",
        remedy=f"give {option} plain text, under a locale of UTF-8",
    )


def _value(option: str, value: object) -> Value:
    """A number where that is the same when it is written again, else text."""
    if isinstance(value, int | float):
        return value
    text = _text(option, value)
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text
