"""One attempt in hand, from its assignment to its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ltx2_patcher.boundaries.batch_files import said_since, size_of
from ltx2_patcher.boundaries.child import Cancelled, Died, Done, Event, Failed
from ltx2_patcher.rules.models.batch import last_word
from ltx2_patcher.values.errors import OutsideError, PatcherError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.publishing import publish
from ltx2_service.rules.failures import failure_of, is_fatal
from ltx2_service.values.assignment import Assignment
from ltx2_service.values.job import Failure
from ltx2_service.values.told import Ended, Progress
from ltx2_service.worker.progress import progress_of
from ltx2_service.worker.renderer import Process

_CANCEL_S = 10.0  # from when a run is asked to end until its process is ended
_KEPT_PREVIEWS = 2  # one may be read just now


class Attempt:
    """What is done for an assignment; `turn` it until it has ended."""

    def __init__(self, assignment: Assignment, process: Process, berth: Berth) -> None:
        self.assignment = assignment
        self._process, self._berth = process, berth
        self._name = f"{assignment.job}.{assignment.token}"
        self._began_s: float | None = None
        self._kill_by_s: float | None = None  # once it is cancelled
        self._previews: list[Path] = []
        berth.rotate_log()
        berth.empty_previews()
        self._logged = size_of(berth.log) or 0

    @property
    def state(self) -> str:
        """A card's: "starting" until the script begins."""
        return "starting" if self._began_s is None else "running"

    def cancel(self) -> None:
        """End at the next point."""
        if self._kill_by_s is None:
            self._kill_by_s = time.monotonic() + _CANCEL_S
            if self._began_s is not None:
                self._process.cancel(self._name)

    def turn(self, wait_s: float) -> Iterator[Progress | Ended]:
        """What came of it within this time; Ended is the last."""
        if self._began_s is None:
            yield from self._begin(wait_s)
            return
        for event in self._process.events(wait_s):
            if (ended := self._ended(event)) is not None:
                if ended.failure is not None:
                    self._remove_part()
                yield ended
                return
            if (progress := progress_of(event)) is not None:
                self._keep_few_previews(progress.latents)
                yield progress
        if (failure := self._overdue()) is not None:
            self._process.kill()
            self._remove_part()
            yield Ended(self._seconds(), 0, failure)

    def _begin(self, wait_s: float) -> Iterator[Ended]:
        if self._kill_by_s is not None:
            yield Ended(0.0, 0, _CANCELLED)
            return
        try:
            if not self._process.bring_up(self.assignment.renderer, wait_s):
                return
        except OutsideError as error:
            yield self._lost(f"{error}{self._word()}")
            return
        self._began_s = time.monotonic()
        of = self.assignment
        self._process.request(self._name, of.module, of.argv, self._berth.previews)

    def _ended(self, event: Event) -> Ended | None:
        match event:
            case Done(seconds, peak_bytes):
                return self._published(seconds, peak_bytes)
            case Cancelled():
                return Ended(self._seconds(), 0, _CANCELLED)
            case Failed(code, error):
                failure = failure_of(code, error or self._said())
                if is_fatal(failure.message):
                    self._process.kill()
                    if failure.code == "script_failed":
                        return self._lost(failure.message)
                return Ended(self._seconds(), 0, failure)
            case Died(code):
                if self._kill_by_s is not None:
                    return Ended(self._seconds(), 0, _CANCELLED)
                how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
                return self._lost(f"its process {how}{self._word()}")
        return None

    def _published(self, seconds: float, peak_bytes: int) -> Ended:
        of = self.assignment
        try:
            if publish(of.part, of.place):
                self._process.made(of.model)
                return Ended(seconds, peak_bytes)
        except PatcherError as error:
            return Ended(seconds, peak_bytes, Failure("not_written", f"{error}; {error.remedy}"))
        return Ended(
            seconds,
            peak_bytes,
            Failure("script_failed", "its script ended without a word, and there is no clip"),
        )

    def _overdue(self) -> Failure | None:
        now_s = time.monotonic()
        if self._kill_by_s is not None and now_s > self._kill_by_s:
            return _CANCELLED
        limit_s = self.assignment.run_limit_s
        if self._seconds() > limit_s:
            return Failure("timeout", f"it ran for longer than {limit_s:g} s")
        return None

    def _lost(self, why: str) -> Ended:
        return Ended(self._seconds(), 0, Failure("worker_crashed", why), worker_lost=True)

    def _said(self) -> str:
        with contextlib.suppress(OSError):  # somebody removed the log
            return last_word(said_since(self._berth.log, self._logged))
        return ""

    def _word(self) -> str:
        return f": {word}" if (word := self._said()) else ""

    def _seconds(self) -> float:
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s

    def _remove_part(self) -> None:
        with contextlib.suppress(OSError):
            self.assignment.part.unlink(missing_ok=True)

    def _keep_few_previews(self, latest: Path | None) -> None:
        if latest is not None:
            self._previews.append(latest)
            for old in self._previews[:-_KEPT_PREVIEWS]:
                old.unlink(missing_ok=True)
            del self._previews[:-_KEPT_PREVIEWS]


_CANCELLED = Failure("cancelled", "somebody asked that it ends")
