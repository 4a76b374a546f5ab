"""Progress on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar for each phase on stderr, made when there is something to show."""
    with ExitStack() as stack:
        shown: dict[str, Callable[[str, float], None]] = {}

        def advance(phase: str, share: float) -> None:
            if not quiet and not shown:
                shown["bars"] = stack.enter_context(_bars())
            if shown:
                shown["bars"](phase, share)

        yield advance


@contextmanager
def _bars() -> Iterator[Callable[[str, float], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(phase: str, share: float) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(f"{phase} upstream", total=1.0)
            progress.update(tasks[phase], completed=share)

        yield advance


class Line(Protocol):
    """Where a batch tells how far it is."""

    def show(
        self, ended: int, total: int, where: str, what: str, stage: str, left: Callable[[], str]
    ) -> None:
        """Tell of the clip in hand."""

    def say(self, text: str) -> None:
        """Tell of one that has ended; it stays."""


@contextmanager
def clip_progress(*, say: Callable[[str], None] | None) -> Iterator[Line]:
    """A line on stderr that follows a batch; lines that stay go to `say`, if to anybody.

    Where stderr is no terminal those are all.
    """
    if not sys.stderr.isatty():
        yield _Plain(say)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in _FIELDS]
    console = Console(stderr=True)
    with Progress(*columns[:1], BarColumn(10), *columns[1:], console=console, transient=True) as p:
        yield _Live(p, say)


_FIELDS = ("where", "what", "stage", "left")


class _Plain:
    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say

    def show(
        self, ended: int, total: int, where: str, what: str, stage: str, left: Callable[[], str]
    ) -> None:
        pass

    def say(self, text: str) -> None:
        if self._say is not None:
            self._say(text)
            sys.stdout.flush()


class _Live:
    def __init__(self, progress: Progress, say: Callable[[str], None] | None) -> None:
        self._progress, self._say = progress, say
        self._task = progress.add_task("", total=None, where="", what="", stage="", left="")

    def show(
        self, ended: int, total: int, where: str, what: str, stage: str, left: Callable[[], str]
    ) -> None:
        self._progress.update(
            self._task,
            completed=ended,
            total=total,
            where=where,
            what=what,
            stage=stage,
            left=left(),
        )

    def say(self, text: str) -> None:
        if self._say is None:
            return
        if sys.stdout.isatty():  # which the moving line is on too
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._say(text)
            sys.stdout.flush()
