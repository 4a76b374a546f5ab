"""A batch: a clip a line, each a JSON object of options over those that all lines have."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from ltx2_patcher.rules.models.options import given_options
from ltx2_patcher.rules.models.parked import refusal_of_parking
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.rules.models.request import (
    option_of,
    parse_over,
    refusal_of_option,
    render_argv,
)
from ltx2_patcher.rules.shown import cut, shown
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from ltx2_patcher.values.request import Request

LONGEST_LINE = 128 * 1024
"""Bytes of a line: Linux takes no longer word in a command line (MAX_ARG_STRLEN)."""
SHOWN_FAULTS = 20
_OUTPUT, _BUDGET = "--output-path", "--vram-budget"
_EXAMPLE = '{"prompt": "a red fox", "seed": 7}'


@dataclass(frozen=True, slots=True)
class Line:
    """The options of one clip."""

    number: int  # in its file, from 1
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line can't be rendered."""

    number: int
    error: PatcherError


@dataclass(frozen=True, slots=True)
class Entry:
    """A clip that was finished: a line of the journal."""

    place: str  # of the clip, absolute
    digest: str  # of what it was made from
    bytes: int  # of its file


def read_lines(data: bytes, name: str) -> tuple[list[Line], list[Fault]]:
    """The lines of a batch and what is wrong with others; blank ones and comments are passed by.

    Raises: UsageError where the whole is no text, or holds no line.
    """
    if b"\0" in data:
        raise UsageError(
            f"{name} is no text in UTF-8",
            remedy=f"give a file with one JSON object a line, such as {_EXAMPLE}",
        )
    lines: list[Line] = []
    faults: list[Fault] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = raw.strip()
        if text and not text.startswith(b"#"):
            try:
                lines.append(Line(number, _options(text)))
            except UsageError as error:
                faults.append(Fault(number, error))
    if not lines and not faults:
        raise UsageError(
            f"{name} holds no line to render",
            remedy=f"write one JSON object a line, such as {_EXAMPLE}",
        )
    return lines, faults


def refusal_of_common(pipeline: Pipeline, arguments: Sequence[str]) -> UsageError | None:
    """Why no line can go with these arguments; None where one may. Raises: UsageError as parsing.

    A run leaves options that we don't know to upstream, which here would refuse them at each line.
    """
    for option, _ in given_options(pipeline.options, arguments):
        if refusal := refusal_of_option(pipeline, option.removeprefix("--")):
            return refusal
    return None


def request_of(pipeline: Pipeline, common: Sequence[str], line: Line) -> Request:
    """The request of a line over the common arguments.

    Raises: UsageError as `parse_over`, and where nothing tells the clip's place.
    """
    options = {
        key: value
        for key, value in line.options.items()
        if option_of(key) != _OUTPUT or value not in (None, False)
    }
    request = parse_over(pipeline, common, options)
    if _OUTPUT in map(option_of, options):
        return request
    if request.output is None:
        raise UsageError(
            "nothing tells where the clip shall be",
            remedy='give the line an "output-path", or --output-path behind `--`, from which those '
            "of lines without are derived",
        )
    return replace(request, output=derived(request.output, line.number))


def derived(common: Path, number: int) -> Path:
    """The place of a line's clip: clip.mp4 -> clip-003.mp4. It stays as lines are added behind."""
    return common.with_name(f"{common.stem}-{number:03}{common.suffix}") if common.name else common


def faults_of_places(places: Iterable[tuple[int, Path]]) -> list[Fault]:
    """One for each line whose clip would take the place of an earlier line's."""
    first: dict[Path, int] = {}
    faults = []
    for number, place in places:
        if (other := first.setdefault(place, number)) != number:
            error = UsageError(
                f"lines {other} and {number} have one output path, {place}",
                remedy="give one of them another",
            )
            faults.append(Fault(number, error))
    return faults


def takes_budget(
    pipeline: Pipeline,
    common: Sequence[str],
    lines: Sequence[Line],
    requests: Sequence[Request],
    able: Abilities,
) -> bool:
    """Whether the batch may give each request --vram-budget: nobody names it, and it can go with
    them all.
    """
    if _BUDGET not in pipeline.options:
        return False
    named = {option for option, _ in given_options(pipeline.options, common)}
    named |= {option_of(key) for line in lines for key in line.options}
    return _BUDGET not in named and not any(
        refusal_of_parking(pipeline, with_budget(request), able, ()) for request in requests
    )


def with_budget(request: Request) -> Request:
    """The request with its weights kept in host memory."""
    return replace(request, vram_budget="auto")


def digest(pipeline: Pipeline, base: str, request: Request, place: Path) -> str:
    """A digest of what the clip at `place` is made from; where weights wait changes no clip."""
    elsewhere = replace(request, vram_budget=None, host_budget=None, weights_folder=None)
    argv = render_argv(pipeline, elsewhere)
    words = [base, pipeline.name, str(place), *argv]
    # A file's name may hold any bytes, which JSON spells as halves of characters.
    return hashlib.sha256(json.dumps(words).encode("ascii")).hexdigest()


def render_entry(entry: Entry) -> str:
    """The line of a journal, which `parse_journal` reads back."""
    fields = {"place": entry.place, "digest": entry.digest, "bytes": entry.bytes}
    return f"{json.dumps(fields)}\n"


def parse_journal(data: bytes) -> dict[str, Entry]:
    """Place -> what was finished there last. Torn lines, as a killed run leaves, are passed by."""
    entries = {}
    for line in data.split(b"\n"):
        try:
            fields = json.loads(line)
            entry = Entry(str(fields["place"]), str(fields["digest"]), int(fields["bytes"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        entries[entry.place] = entry
    return entries


def refusal_of_lines(name: str, total: int, faults: Sequence[Fault]) -> PatcherError:
    """All faults in one sentence a line, those that many lines share in one."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in sorted(faults, key=lambda fault: fault.number):
        groups.setdefault((str(fault.error), fault.error.remedy), []).append(fault)
    rows = []
    for (message, remedy), group in list(groups.items())[:SHOWN_FAULTS]:
        rows.append(f"  {numbers_in_words([f.number for f in group])}: {message}")
        rows.append(f"    to do: {remedy}")
    left = list(groups.values())[SHOWN_FAULTS:]
    if left:
        rows.append(f"  and {sum(map(len, left))} more lines")
    codes = {fault.error.exit_code for fault in faults}
    kind = _BY_CODE[codes.pop()] if len(codes) == 1 else UsageError
    wrong = len({fault.number for fault in faults})
    lines = "line" if total == 1 else "lines"
    head = f"{wrong} of {total} {lines} of {name} can't be rendered, and none was begun"
    return kind("\n".join((head, *rows)), remedy="put them right and run the same command again")


def numbers_in_words(numbers: Sequence[int]) -> str:
    """As in "line 3", "lines 1, 2 and 5" and "lines 1, 2, 3 and 197 more"."""
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    if len(numbers) > 4:
        listed, last = numbers[:3], f"{len(numbers) - 3} more"
    else:
        listed, last = numbers[:-1], str(numbers[-1])
    return f"lines {', '.join(map(str, listed))} and {last}"


def time_left_s(finished_s: Sequence[float], left: int, elapsed_s: float = 0.0) -> float | None:
    """How long `left` clips will take, of which one was begun `elapsed_s` ago; None before any.

    By the median: the first one loads what the others find in memory.
    """
    if not finished_s:
        return None
    usual_s = median(finished_s)
    return max(usual_s * left - min(elapsed_s, usual_s), 0.0)


def time_in_words(seconds: float) -> str:
    """As in "45 s", "12 min" and "3 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def last_word(log: str) -> str:
    """What a script said last on stderr, of a sentence with a remedy the sentence; "" for nothing.

    Progress bars are no words, nor is what Python says at its very end.
    """
    said = [line.strip() for line in log.splitlines()]
    said = [line for line in said if line and not _NO_WORD.search(line)]
    return cut(said[-1], 500) if said else ""


_NO_WORD = re.compile(r"^to do: |\d+%\||\bit/s|\bs/it|^Exception ignored")
_BY_CODE: Mapping[int, Callable[..., PatcherError]] = {
    kind.exit_code: kind
    for kind in (UsageError, ConflictError, OutsideError, InvalidError, BusyError)
}


def _options(text: bytes) -> Mapping[str, object]:
    """The options that a line holds. Raises: UsageError."""
    if len(text) > LONGEST_LINE:
        raise UsageError(
            f"it has {len(text):,} bytes, and no command line takes more than {LONGEST_LINE:,}",
            remedy="shorten it",
        )
    try:
        found = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise _no_json(f"{error.msg} at column {error.colno}") from error
    except UnicodeEncodeError as error:
        raise _no_json("it holds half a character") from error
    except UnicodeDecodeError as error:
        raise _no_json("it is no text in UTF-8") from error
    except RecursionError as error:
        raise _no_json("it is nested too deeply") from error
    except ValueError as error:
        raise _no_json(str(error)) from error
    if not isinstance(found, dict):
        raise UsageError(
            f"{shown(found)} is no JSON object",
            remedy=f"write one object a line, such as {_EXAMPLE}",
        )
    return found


def _no_json(why: str) -> UsageError:
    return UsageError(f"no JSON: {cut(why, 120)}", remedy=f"write it as in {_EXAMPLE}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys name each option once. Raises: UsageError."""
    found: dict[str, object] = {}
    options = set()
    for key, value in pairs:
        if option_of(key) in options:
            raise UsageError(
                f"{cut(key)} is given twice", remedy="give it once; several values are a list"
            )
        options.add(option_of(key))
        found[key] = value
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
