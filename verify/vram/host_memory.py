"""What a process holds of the host's memory, anonymous and file-mapped apart.

Anonymous memory is what nobody can take back; pages of a mapped checkpoint are the page cache's.
Linux keeps a high-water mark of their sum only (VmHWM), so the two are sampled: a peak that lasts
less than the time between two samples may be missed.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment; `at_s` is CLOCK_MONOTONIC, which all processes share."""

    at_s: float
    anon_bytes: int
    file_bytes: int


def parse_status(text: str, at_s: float) -> Sample | None:
    """A sample from the text of `/proc/<pid>/status`; none for a process without memory (zombie).

    The fields are RssAnon, RssFile and RssShmem, in kibibytes: proc_pid_status(5), since Linux 4.5.
    A mapped file of a tmpfs, where weights may lie, counts in the last.
    """
    kib = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB$", text, re.MULTILINE))
    if "RssAnon" not in kib:
        return None
    mapped = int(kib["RssFile"]) + int(kib["RssShmem"])
    return Sample(at_s, int(kib["RssAnon"]) << 10, mapped << 10)


def sample_of(pid: int) -> Sample | None:
    """A process now; None for one that has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has just ended
    return parse_status(text, time.monotonic())
