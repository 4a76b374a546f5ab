"""How far the writing of a file is: a bar on a terminal, elsewhere a line when it is done."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Wrote = Callable[[int], None]  # told the bytes of each piece

Progress = Callable[[str, int], AbstractContextManager[Wrote]]
"""Entered for a file of a name and of so many bytes, left when it is written."""


@contextmanager
def silent(_name: str, _nbytes: int) -> Iterator[Wrote]:
    """Nothing is shown."""
    yield lambda _: None


def on_stderr() -> Progress:
    """What stderr can show."""
    return _bar if sys.stderr.isatty() and importlib.util.find_spec("rich") else _line


@contextmanager
def _line(name: str, nbytes: int) -> Iterator[Wrote]:
    begin = time.monotonic()
    yield lambda _: None
    wall_s = max(time.monotonic() - begin, 1e-9)
    print(
        f"{name}: {nbytes / 2**30:.2f} GiB, {nbytes / 1e9 / wall_s:.2f} GB/s",
        file=sys.stderr,
        flush=True,
    )


@contextmanager
def _bar(name: str, nbytes: int) -> Iterator[Wrote]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(name, total=nbytes)
        yield lambda written: shown.advance(task, written)
