"""How much memory a process takes at its worst, between two moments that it names itself."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltx2_patcher.values.errors import OutsideError
from verify.vram.host_memory import Sample, sample_of

_MARK = "tests.process_memory mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that the process itself named by `mark`, and where it stood then."""

    name: str
    at: Sample


@dataclass(frozen=True, slots=True)
class MeasuredProcess:
    """A process that has ended, and what was seen of its memory."""

    code: int
    out: str
    err: str
    samples: tuple[Sample, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest memory in a span of a process's life, in bytes."""

    anon_bytes: int
    file_bytes: int
    anon_rise_bytes: int  # above where the span began
    samples: int  # in the span: a peak of few samples says little


def mark(name: str) -> None:
    """Name this moment; for the measured process to call."""
    here = sample_of(os.getpid())
    assert here is not None, "a process can read its own status"
    print(_MARK, name, here.at_s, here.anon_bytes, here.file_bytes, flush=True)


def measure(
    argv: Sequence[str], *, env: Mapping[str, str], every_s: float = 0.002, timeout_s: float = 300
) -> MeasuredProcess:
    """Run `argv` to its end and sample its memory, that of its children not included.

    Raises: OutsideError (it can't be started, or is late).
    """
    samples: list[Sample] = []
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            process = subprocess.Popen(argv, env=dict(env), stdout=out, stderr=err)
        except OSError as error:
            raise OutsideError(
                f"{argv[0]} could not be started: {error.strerror}", remedy="name another program"
            ) from error
        end_s = time.monotonic() + timeout_s
        try:
            while process.poll() is None:
                if (sample := sample_of(process.pid)) is not None:
                    samples.append(sample)
                if time.monotonic() > end_s:
                    raise OutsideError(
                        f"{argv[0]} took longer than {timeout_s:.0f} s",
                        remedy="run it again on an idle machine",
                    )
                time.sleep(every_s)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        printed = out.read()
        return MeasuredProcess(
            process.returncode, printed, err.read(), tuple(samples), parse_marks(printed)
        )


def peak_between(measured: MeasuredProcess, start: str, end: str) -> Peak:
    """The peak from the mark `start` to the mark `end`, both included."""
    at = {mark.name: mark.at for mark in measured.marks}
    first, last = at[start], at[end]
    known = (*measured.samples, *at.values())
    seen = [sample for sample in known if first.at_s <= sample.at_s <= last.at_s]
    anon = max(s.anon_bytes for s in seen)
    return Peak(
        anon_bytes=anon,
        file_bytes=max(s.file_bytes for s in seen),
        anon_rise_bytes=anon - first.anon_bytes,
        samples=len(seen),
    )


def parse_marks(out: str) -> tuple[Mark, ...]:
    """The marks in what a process wrote to stdout, in order."""
    marks = []
    for line in out.splitlines():
        if line.startswith(_MARK):
            name, at_s, anon, file = line.removeprefix(_MARK).rsplit(maxsplit=3)
            marks.append(Mark(name.strip(), Sample(float(at_s), int(anon), int(file))))
    return tuple(marks)
