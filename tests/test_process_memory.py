"""The rules on texts and values, then a real process whose memory is known."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.values.errors import OutsideError
from tests.conftest import ROOT
from tests.process_memory import Mark, MeasuredProcess, measure, parse_marks, peak_between
from verify.vram.host_memory import Sample, parse_status

MIB = 1 << 20


def test_status_gives_both_kinds_in_bytes() -> None:
    """The kernel counts in kibibytes, and mapped files of a tmpfs apart."""
    text = "Name:\tx\nVmHWM:\t  900 kB\nRssAnon:\t     700 kB\nRssFile:\t 42 kB\nRssShmem:\t8 kB\n"
    assert parse_status(text, 1.5) == Sample(1.5, 700 << 10, 50 << 10)


def test_a_process_without_memory_gives_no_sample() -> None:
    """A zombie's status has no Rss lines."""
    assert parse_status("Name:\tx\nState:\tZ (zombie)\n", 0.0) is None


def test_the_peak_is_that_of_the_span() -> None:
    """What came before and after the marks does not count."""
    samples = tuple(Sample(float(at), anon, anon // 2) for at, anon in enumerate((9, 2, 6, 4, 8)))
    marks = (Mark("start", Sample(1.0, 2, 0)), Mark("end", Sample(3.5, 4, 1)))
    peak = peak_between(MeasuredProcess(0, "", "", samples, marks), "start", "end")
    assert (peak.anon_bytes, peak.anon_rise_bytes, peak.file_bytes) == (6, 4, 3)
    assert peak.samples == 5


@given(st.lists(st.integers(min_value=0, max_value=1 << 50), min_size=2))
def test_a_peak_is_never_below_its_marks(anon: list[int]) -> None:
    """Even with no sample between them."""
    first, last = Sample(0.0, anon[0], 0), Sample(1.0, anon[-1], 0)
    between = tuple(Sample(0.5, value, 0) for value in anon[1:-1])
    measured = MeasuredProcess(0, "", "", between, (Mark("a", first), Mark("b", last)))
    peak = peak_between(measured, "a", "b")
    assert peak.anon_bytes == max(anon)
    assert peak.anon_rise_bytes == max(anon) - anon[0] >= 0


def test_other_output_is_no_mark() -> None:
    """Names may hold spaces."""
    out = "loading\ntests.process_memory mark all read 1.25 4096 8192\ntests.process_memory\n"
    assert parse_marks(out) == (Mark("all read", Sample(1.25, 4096, 8192)),)


def test_a_peak_that_is_gone_at_the_end_is_seen() -> None:
    """And mapped pages of a file are counted apart from it."""
    code = f"""
import time
from tests.process_memory import mark
mark("start")
block = bytearray({64 * MIB})
block[::4096] = bytes(len(block[::4096]))
time.sleep(0.1)
del block
mark("end")
"""
    measured = measure([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert measured.code == 0, measured.err
    rise = peak_between(measured, "start", "end").anon_rise_bytes
    assert 64 * MIB <= rise < 72 * MIB


def test_mapped_pages_are_not_anonymous(tmp_path: Path) -> None:
    """A file read through a mapping raises the one and not the other."""
    file = tmp_path / "pages"
    file.write_bytes(bytes(32 * MIB))
    code = f"""
import mmap
from tests.process_memory import mark
opened = open({str(file)!r}, "rb")
mark("start")
pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
assert sum(pages[i] for i in range(0, len(pages), 4096)) == 0
mark("end")
"""
    measured = measure([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    peak = peak_between(measured, "start", "end")
    assert peak.anon_rise_bytes < 4 * MIB
    assert peak.file_bytes >= 32 * MIB


def test_a_program_that_is_not_there_is_named() -> None:
    """In a sentence."""
    with pytest.raises(OutsideError, match="no-such-program could not be started"):
        measure(["no-such-program"], env={})


def test_a_late_program_is_ended(tmp_path: Path) -> None:
    """And not left behind."""
    code = f"""
import os, time
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
time.sleep(99)
"""
    with pytest.raises(OutsideError, match="took longer"):
        measure([sys.executable, "-c", code], env=os.environ, timeout_s=2)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
