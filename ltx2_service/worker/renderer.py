"""The one process that scripts run in, changed for another where attempts ask for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from ltx2_patcher.boundaries.child import Cancelled, Child, Died, Done, Event, Failed, Ready
from ltx2_patcher.values.errors import OutsideError
from ltx2_service.rules.renderers import serves
from ltx2_service.values.assignment import Renderer

_START_S = 300.0  # to import torch from a cold disk


class Process:
    """The renderer that is up, if one is. Nothing here blocks but for the time that is given."""

    def __init__(self, log: IO[bytes], variables: Mapping[str, str]) -> None:
        self._log, self._variables = log, variables
        self._child: Child | None = None
        self._of: Renderer | None = None
        self._is_ready = False
        self._start_by_s = 0.0
        self._ending: threading.Thread | None = None
        self._warm: list[str] = []

    @property
    def base(self) -> str | None:
        """Of the one that is up."""
        return None if self._of is None else self._of.base

    @property
    def warm(self) -> tuple[str, ...]:
        """The models that it made clips of, and whose weights it has parked."""
        return tuple(self._warm)

    def bring_up(self, renderer: Renderer, wait_s: float) -> bool:
        """Whether such a renderer takes requests; else it is on its way, after another's end.

        Raises: OutsideError where it does not come up.
        """
        if self._of is not None and not serves(self._of, renderer):
            self._end_beside()
        if self._ending is not None:
            self._ending.join(wait_s)
            if self._ending.is_alive():
                return False
            self._ending = None
        if self._child is None:
            variables = {**renderer.variables, **self._variables}
            self._child = Child(renderer.argv, variables, self._log)
            self._of, self._start_by_s = renderer, time.monotonic() + _START_S
        if not self._is_ready:
            self._await_ready(wait_s)
        return self._is_ready

    def request(self, name: str, module: str, argv: Sequence[str], latents: Path) -> None:
        """Ask for a run of a script, as Child.request."""
        assert self._child is not None
        self._child.request(name, module, argv, latents)

    def cancel(self, name: str) -> None:
        """Ask that a run ends at its next point."""
        assert self._child is not None
        self._child.cancel(name)

    def events(self, wait_s: float) -> Iterator[Event]:
        """What it tells within this time; after Died there is none any more."""
        assert self._child is not None
        for event in self._child.events(wait_s):
            if isinstance(event, Died):
                self.kill()
            yield event

    def made(self, model: str) -> None:
        """It has that model's weights now."""
        if model not in self._warm:
            self._warm.append(model)

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
        self._forget()

    def end(self) -> None:
        """Let it end by itself, however long that takes."""
        if self._child is not None:
            self._end_beside()
        if self._ending is not None:
            self._ending.join()

    def drop_if_dead(self) -> None:
        """Between attempts: forget one that has ended."""
        if self._child is not None:
            for _ in self.events(0):
                pass

    def _await_ready(self, wait_s: float) -> None:
        for event in self.events(wait_s):
            match event:
                case Ready():
                    self._is_ready = True
                case Died(code):
                    raise OutsideError(
                        f"the process that renders did not start: it ended with {code}",
                        remedy="see the worker's log, and `ltx2-patcher doctor`",
                    )
                case Done() | Failed() | Cancelled():
                    raise AssertionError(f"{event} before anything was asked")
        if not self._is_ready and time.monotonic() > self._start_by_s:
            self.kill()
            raise OutsideError(
                f"the process that renders did not start within {_START_S:.0f} s",
                remedy="see the worker's log, and `ltx2-patcher doctor`",
            )

    def _end_beside(self) -> None:
        """Let it end while the worker goes on; it gives back the card only then."""
        assert self._child is not None
        self._ending = threading.Thread(target=self._child.end, daemon=True)
        self._ending.start()
        self._forget()

    def _forget(self) -> None:
        self._child, self._of, self._is_ready = None, None, False
        self._warm.clear()
