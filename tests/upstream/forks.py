"""Processes of the patched scripts, forked from one that has imported them, which takes longer."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import torch

from verify.upstream.child import answer_requests
from verify.upstream.process import Pipelines
from verify.upstream.tree import script_environment

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "ltx_pipelines.distilled"])


class Fork:
    """A process as `Pipelines` asks it: with pipes in the place of its stdin and stdout."""

    def __init__(self, err: IO[bytes], variables: Mapping[str, str]) -> None:
        theirs_in, ours_in = FORKS.Pipe(duplex=False)
        ours_out, theirs_out = FORKS.Pipe(duplex=False)
        place = f"/proc/{os.getpid()}/fd/{err.fileno()}"
        self._process = FORKS.Process(
            target=_answer, args=(theirs_in, theirs_out, place, dict(variables)), daemon=True
        )
        self._process.start()
        for theirs in (theirs_in, theirs_out):
            theirs.close()
        self.stdin = os.fdopen(os.dup(ours_in.fileno()), "wb")
        self.stdout = os.fdopen(os.dup(ours_out.fileno()), "rb")
        for ours in (ours_in, ours_out):
            ours.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode


class _Forked(Pipelines):
    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = Fork(self._err, script_environment(tree))  # type: ignore[assignment]


def forked(tree: Path) -> Pipelines:
    """A process of the scripts of a tree, which is the one on this process's path.

    All of them hash alike. Where there is CUDA, which survives no fork, it is a new one.
    """
    return Pipelines(tree) if torch.cuda.is_available() else _Forked(tree)


def _answer(stdin: Connection, stdout: Connection, err: str, variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    for number, file in enumerate((stdin, stdout)):
        os.dup2(file.fileno(), number)
        file.close()
    with Path(err).open("ab") as told:
        os.dup2(told.fileno(), 2)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    answer_requests(helped=False)
