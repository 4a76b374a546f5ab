"""The host's memory as the service has it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.machine import Memory
from ltx2_service.boundaries.berth import started_by_workers

_OWN = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
"""Of proc_pid_status(5): pages of no file. What several workers share lies in files, in memory."""


def memory_beside_workers(state: Path) -> Memory:
    """What is free counts with what renders below that absolute folder: it takes the same again.

    Raises: OutsideError.
    """
    host = machine.memory()
    held = sum(map(_held_bytes, started_by_workers(state)))
    return replace(host, available_bytes=min(host.total_bytes, host.available_bytes + held))


def _held_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):  # it has ended
        if found := _OWN.search(Path(f"/proc/{pid}/status").read_text("utf-8", "replace")):
            return int(found[1]) << 10
    return 0
