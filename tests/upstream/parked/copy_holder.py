"""Other processes that have a copy: forked from one that has imported torch, which takes longer."""

import atexit
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from ltx_core.parked.copies import Copies
from ltx_core.parked.layout import Form, Layout

from tests.upstream.forks import FORKS

LAYOUT = Layout.of([Form((300,), (1,), torch.float32), Form((2, 3), (1, 2), torch.int8)])


class Holder:
    """A process that finds the copy of a name, or makes it of a number, and has it to its end."""

    def __init__(self, folder: Path, name: str, number: float, *, finish: bool) -> None:
        self._ours, theirs = FORKS.Pipe()
        given = (theirs, folder, name, number, finish)
        self._process = FORKS.Process(target=_hold, args=given, daemon=True)
        self._process.start()
        theirs.close()

    def made(self) -> bool:
        """Whether the copy is new; waits for it."""
        told: bool = self._ours.recv()
        return told

    def end(self) -> None:
        """Let it end as a process does."""
        self._ours.close()
        self._process.join()
        assert self._process.exitcode == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()


def _hold(told: Connection, folder: Path, name: str, number: float, finish: bool) -> None:
    copy = Copies(folder).found_or_begun(name)
    copy.unit(LAYOUT, lambda views: views[0].fill_(number))
    if finish:
        copy.finish("state")
    told.send(copy.is_new)
    with suppress(EOFError):
        told.recv()
    atexit._run_exitfuncs()  # as an interpreter ends, which no fork does
