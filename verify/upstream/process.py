"""Upstream's own scripts, run in one long-lived process a tree: their imports take longer.

Each request runs the real `main()` of a module with a command line of its own.
"""

import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ltx2_patcher.values.errors import InvalidError, OutsideError
from verify.upstream.tree import script_environment


@dataclass(frozen=True, slots=True)
class Finished:
    """How a script ended."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """What it wrote last to stderr; of a sentence with a remedy, the sentence."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("  to do: ")]
        return lines[-1] if lines else "nothing"


class Pipelines:
    """A process that runs modules of the upstream in `tree`; a context manager.

    `helped` lends it, from outside its source, what unpatched upstream lacks without CUDA.
    Raises: OutsideError (the process does not start, dies or is late), InvalidError (it would run
    another upstream than the one in `tree`).
    """

    def __init__(
        self, tree: Path, *, helped: bool = False, python: Path = Path(sys.executable)
    ) -> None:
        self.tree = tree
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [str(python), "-m", "verify.upstream.child", *(["--helped"] if helped else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._err,
            env=script_environment(tree),
        )

    def __enter__(self) -> Self:
        core = self._reply(timeout_s=120)["ltx_core"]
        if core is None or not Path(core).is_relative_to(self.tree):
            self._close()
            raise InvalidError(
                f"the scripts would use {core}, not {self.tree}",
                remedy="name a tree that holds packages/ltx-core/src/ltx_core",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def run(self, module: str, argv: Sequence[str], *, timeout_s: float = 120) -> Finished:
        """`module`'s `main()` with `argv` behind the program's name."""
        assert self._process.stdin is not None
        request = json.dumps({"module": module, "argv": list(argv)})
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._dead() from error
        return Finished(**self._reply(timeout_s=timeout_s))

    def _reply(self, *, timeout_s: float) -> dict[str, Any]:
        """The next line of the child, which writes nothing but whole lines."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            if not ready.select(timeout_s):
                self._close()
                raise OutsideError(
                    f"no answer from the scripts of {self.tree} in {timeout_s:.0f} s",
                    remedy="run it again on an idle machine",
                )
        line = stdout.readline()
        if not line:
            raise self._dead()
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _dead(self) -> OutsideError:
        code = self._process.wait()
        self._err.seek(0)
        last_line = self._err.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        return OutsideError(
            f"the process for the scripts of {self.tree} ended with {code}: {' '.join(last_line)}",
            remedy="see that its Python has torch and upstream's requirements",
        )

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._err):
            assert stream is not None
            stream.close()
