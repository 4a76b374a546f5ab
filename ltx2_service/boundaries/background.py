"""The service as a process in the background."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.proc import inherited_variables
from ltx2_service.boundaries.spawn import spawn

_LARGEST_LOG = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Begun:
    """A process that was started, and where its words begin in the log."""

    pid: int
    log: Path
    begins_at: int

    def said(self) -> str:
        """What it wrote since it was started."""
        with translated(self.log, reading=True), self.log.open("rb") as log:
            log.seek(self.begins_at)
            return log.read().decode("utf-8", "replace").strip()


def begin(argv: Sequence[str], log: Path) -> Begun:
    """Start a program that goes on when this one ends; what it says is added to `log`, which is
    put aside as `.1` where it is large.

    Raises: OutsideError where the log can't be written.
    """
    with translated(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_name(f"{log.name}.1"))
        begins_at = log.stat().st_size if log.exists() else 0
    return Begun(spawn(argv, inherited_variables(), log), log, begins_at)


def ask_to_end(pid: int) -> None:
    """Ask a process to end; one that has ended is left alone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def end_at_once(pid: int) -> None:
    """End a process; one that has ended is left alone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
