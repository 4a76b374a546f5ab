"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


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
