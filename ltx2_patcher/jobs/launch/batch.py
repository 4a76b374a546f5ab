"""A batch of clips, in one process that keeps its weights: each line judged, then each rendered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ltx2_patcher.boundaries import batch_files
from ltx2_patcher.boundaries.batch_files import Records
from ltx2_patcher.boundaries.child import (
    Cancelled,
    Child,
    Died,
    Done,
    Event,
    Failed,
    Ready,
)
from ltx2_patcher.jobs.launch.script import Script
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.places import at_home, make_output_folder
from ltx2_patcher.jobs.models.target import Admitted
from ltx2_patcher.rules.models.batch import (
    Entry,
    Fault,
    Line,
    digest,
    faults_of_places,
    last_word,
    read_lines,
    refusal_of_common,
    refusal_of_lines,
    request_of,
    takes_budget,
    with_budget,
)
from ltx2_patcher.rules.models.parked import refusal_of_batch
from ltx2_patcher.rules.models.parked_host import shortage_of
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.values.errors import OutsideError, PatcherError
from ltx2_patcher.values.finding import Finding
from ltx2_patcher.values.request import Request

_TICK_S = 0.2  # how soon a wish to stop is seen


@dataclass(frozen=True, slots=True)
class Clip:
    """One that shall be made."""

    number: int  # of its line
    request: Request  # that the gate admitted
    argv: tuple[str, ...]  # of its script
    place: Path  # absolute
    digest: str
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch comes to."""

    script: Script
    clips: tuple[Clip, ...]
    passed_by: int  # lines whose clip is there already
    parks: bool  # --vram-budget was given to each line, as nobody named it
    holds_too_little: str | None  # why it was not, where the host's memory is too small
    records: Records


@dataclass(frozen=True, slots=True)
class Made:
    """A clip is there."""

    seconds: float
    peak_bytes: int  # of the card


@dataclass(frozen=True, slots=True)
class Lost:
    """A clip could not be made; the next one is tried."""

    why: str


@dataclass(frozen=True, slots=True)
class Cancelling:
    """Somebody asked to stop, and the run in hand was told."""


Told = Event | Made | Lost | Cancelling


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a batch ended."""

    made: int
    lost: tuple[int, ...]  # the numbers of those lines
    left: int  # clips that were not tried, or broken off
    broken: PatcherError | None = None  # why those were not tried, where nobody asked to stop


def plan_batch(
    script: Script, base: str, common: Sequence[str], path: Path, *, resume: bool
) -> Batch:
    """Judge every line of the batch at `path`; with `resume` those alone whose clip is missing.

    Raises: one error for all lines that can't be rendered; UsageError and OutsideError for a batch
    that can't be read; what `refusal_of_batch` says of the pipeline and its base.
    """
    target = script.target
    pipeline = target.pipeline
    if refusal := refusal_of_batch(pipeline, target.abilities, target.others):
        raise refusal
    if refusal := refusal_of_common(pipeline, common):
        raise refusal
    parse_argv(pipeline, common)  # what is wrong there is no line's fault
    data = batch_files.read_batch(path)
    name = "standard input" if path == batch_files.STDIN else str(path)
    lines, faults = read_lines(data, name)
    total = len(lines) + len(faults)
    requests: dict[int, Request] = {}
    for line in lines:
        try:
            requests[line.number] = at_home(request_of(pipeline, common, line))
        except PatcherError as error:
            faults.append(Fault(line.number, error))
    places = {number: _place(request) for number, request in requests.items()}
    faults += faults_of_places(places.items())
    first = next(iter(places.values()), Path.cwd() / "clip")
    records = batch_files.records_of(path, first)
    digests = {n: digest(pipeline, base, r, places[n]) for n, r in requests.items()}
    if resume:
        there = batch_files.finished(records.journal)
        done = {n for n, place in places.items() if _is_of(there.get(str(place)), digests[n])}
        wanted = {n: request for n, request in requests.items() if n not in done}
    else:
        wanted = requests
    admitted, parks, too_little = _admit(script, common, lines, wanted, faults)
    if faults:
        raise refusal_of_lines(name, total, faults)
    clips = tuple(
        Clip(
            number,
            passed.request,
            render_argv(pipeline, passed.request),
            places[number],
            digests[number],
            passed.warnings,
        )
        for number, passed in admitted.items()
    )
    return Batch(script, clips, total - len(clips), parks, too_little, records)


def render_batch(
    batch: Batch,
    variables: Mapping[str, str],
    tell: Callable[[Clip, Told], None],
    stops: Callable[[], int],
) -> Outcome:
    """Make each clip of the batch, one after the other, and put it on record.

    `stops` says how often somebody asked to stop: at once the clip in hand is cancelled, at twice
    its process is ended. A process that dies is started again for the next clip.

    Raises: BusyError where another run has this batch; OutsideError where a folder or file of it
    can't be written, or the process does not come up.
    """
    for request in {clip.place.parent: clip.request for clip in batch.clips}.values():
        make_output_folder(request)
    made = 0
    lost: list[int] = []
    if not batch.clips:
        return Outcome(0, (), 0)
    with batch_files.kept_log(batch.records) as log:
        child: Child | None = None
        try:
            for at, clip in enumerate(batch.clips):
                left = len(batch.clips) - at
                if child is None:
                    try:
                        child = _started(batch, variables, log, stops)
                    except OutsideError as error:
                        if not at:
                            raise
                        return Outcome(made, tuple(lost), left, error)
                if stops() or child is None:
                    return Outcome(made, tuple(lost), left)
                ended, alive = _make(batch, clip, child, tell, stops)
                if ended is None:
                    return Outcome(made, tuple(lost), left)
                tell(clip, ended)
                if isinstance(ended, Made):
                    made += 1
                else:
                    lost.append(clip.number)
                if not alive:
                    child = None
            if child is not None:
                child.end()
        finally:
            if child is not None:
                child.kill()
    return Outcome(made, tuple(lost), 0)


def _admit(
    script: Script,
    common: Sequence[str],
    lines: Sequence[Line],
    wanted: Mapping[int, Request],
    faults: list[Fault],
) -> tuple[dict[int, Admitted], bool, str | None]:
    """Those that pass the gate; the rest goes to `faults`. Whether they are given a budget, and why
    not where memory is too small for one.
    """
    looked = Looked(script.target)
    if wanted:
        looked.ahead(wanted.values())
    pipeline, able = script.target.pipeline, script.target.abilities
    if takes_budget(pipeline, common, lines, list(wanted.values()), able):
        parked = {number: with_budget(request) for number, request in wanted.items()}
        admitted, found = _judged(script, parked, looked)
        shares = [passed.host for passed in admitted.values() if passed.host is not None]
        largest = max(shares, key=lambda share: share.on_disk_bytes, default=None)
        if largest is None or not largest.on_disk_bytes:
            faults += found
            return admitted, True, None
        too_little = shortage_of(largest)
    else:
        too_little = None
    admitted, found = _judged(script, wanted, looked)
    faults += found
    return admitted, False, too_little


def _judged(
    script: Script, requests: Mapping[int, Request], looked: Looked
) -> tuple[dict[int, Admitted], list[Fault]]:
    admitted: dict[int, Admitted] = {}
    faults: list[Fault] = []
    for number, request in requests.items():
        try:
            admitted[number] = admit(request, script.target, looked)
        except PatcherError as error:
            faults.append(Fault(number, error))
    return admitted, faults


def _started(
    batch: Batch, variables: Mapping[str, str], log: IO[bytes], stops: Callable[[], int]
) -> Child | None:
    """A process that takes requests; None where somebody asks to stop before.

    Raises: OutsideError where it ends instead.
    """
    launch = batch.script.child(variables)
    offset = log.seek(0, 2)
    child = Child(launch.argv, launch.variables, log)
    while not stops():
        for event in child.events(_TICK_S):
            if isinstance(event, Ready):
                return child
            if isinstance(event, Died):
                raise OutsideError(
                    f"the process that renders did not start: {_ending(event, batch, offset)}",
                    remedy=f"see {batch.records.log}, and `ltx2-patcher doctor`",
                )
    child.kill()
    return None


def _make(
    batch: Batch,
    clip: Clip,
    child: Child,
    tell: Callable[[Clip, Told], None],
    stops: Callable[[], int],
) -> tuple[Made | Lost | None, bool]:
    """How the clip ended, None: broken off; and whether the process goes on."""
    offset = _end_of(batch.records.log)
    name, cancelled = str(clip.number), False
    child.request(name, batch.script.module, clip.argv)
    while True:
        if stops() > 1:
            return None, True
        if stops() and not cancelled:
            child.cancel(name)
            cancelled = True
            tell(clip, Cancelling())
        for event in child.events(_TICK_S):
            match event:
                case Done():
                    return _put_on_record(batch, clip, event), True
                case Failed():
                    word = event.error or last_word(
                        batch_files.said_since(batch.records.log, offset)
                    )
                    return Lost(word or f"its script ended with {event.code}"), True
                case Cancelled():
                    return None, True
                case Died():
                    return Lost(f"its process {_ending(event, batch, offset)}"), False
                case _:
                    tell(clip, event)


def _put_on_record(batch: Batch, clip: Clip, done: Done) -> Made | Lost:
    size = batch_files.size_of(clip.place)
    if size is None:
        return Lost(f"its script ended without a word, and there is no {clip.place}")
    batch_files.note(batch.records.journal, Entry(str(clip.place), clip.digest, size))
    return Made(done.seconds, done.peak_bytes)


def _ending(died: Died, batch: Batch, offset: int) -> str:
    how = f"was ended by signal {-died.code}" if died.code < 0 else f"ended with {died.code}"
    word = last_word(batch_files.said_since(batch.records.log, offset))
    return f"{how}: {word}" if word else how


def _end_of(log: Path) -> int:
    return batch_files.size_of(log) or 0


def _place(request: Request) -> Path:
    assert request.output is not None
    return Path(os.path.realpath(request.output))  # resolve() ends at links in a ring


def _is_of(entry: Entry | None, wanted: str) -> bool:
    return entry is not None and entry.digest == wanted
