"""The only module that starts processes."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn, Self

from ltx2_patcher.values.errors import OutsideError


class TimedOut(OutsideError):
    """A program did not end in time, and was killed."""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished process."""

    argv: tuple[str, ...]
    code: int  # negative: ended by that signal
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)

    @property
    def complaint(self) -> str:
        """Its fatal line on stderr, else its last, for an error message."""
        ended = f"exit code {self.code}" if self.code >= 0 else f"ended by signal {-self.code}"
        return complaint_in(self.err.decode("utf-8", "replace")) or ended


def complaint_in(text: str) -> str | None:
    """The first fatal line of what a program said, else the last; advice is passed by."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("hint: ")]
    fatal = [line for line in lines if line.startswith("fatal: ")]
    return [None, *lines, *fatal[:1]][-1]


def call(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    own_session: bool = False,
) -> Done:
    """Run to the end and capture.

    With `own_session` a signal to our process group does not reach the child: a short step that
    must not stop half-way runs to its end also when we are interrupted, and a time-out ends the
    child with all that it started.

    Raises: OutsideError where the program or `cwd` is missing; TimedOut where the program outlasts
    `timeout_s`.
    """
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=own_session,
            # Python ignores SIGXFSZ, and so shall git: killed by it, where files may not become
            # larger, it would leave its lock files.
            restore_signals=False,
        )
    except OSError as error:
        if cwd is not None and not cwd.is_dir():
            raise OutsideError(
                f"{cwd} is no folder", remedy="move away what stands there and run again"
            ) from error
        raise _absent(argv[0]) from error
    with child:
        try:
            out, err = child.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            if own_session:
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            raise TimedOut(
                f"{' '.join(argv[:3])} did not answer within {timeout_s:.0f} s",
                remedy="check the network and try again",
            ) from error
    return Done(tuple(argv), child.returncode, out, err)


def watch(
    argv: Sequence[str], each_line: Callable[[str], None], *, env: Mapping[str, str] | None = None
) -> Done:
    """Run to the end, handing on each line of output as it comes; `err` holds both streams.

    Raises: OutsideError where the program is missing.
    """
    output = bytearray()
    try:
        child = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise _absent(argv[0]) from error
    with child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                output += line
                each_line(line.decode("utf-8", "replace").rstrip())
        except BaseException:
            child.terminate()
            raise
    return Done(tuple(argv), child.returncode, b"", bytes(output))


class Talk:
    """A process under way that is written to and read from by lines; a context manager, at whose
    end it is killed with all that it started.

    It has a session of its own, so that a Ctrl-C reaches us alone. Without us its input ends.
    Raises: OutsideError where the program is missing.
    """

    def __init__(self, argv: Sequence[str], variables: Mapping[str, str], err: IO[bytes]) -> None:
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                argv,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise _absent(argv[0]) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, line: bytes) -> None:
        """Write a line; one that has ended reads it no more, which its next lines tell."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            left = memoryview(line + b"\n")
            while left:
                left = left[self._process.stdin.write(left) or 0 :]

    def lines(self, wait_s: float) -> list[bytes] | None:
        """The lines that it writes within this time, none or more; None once it has ended."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            if not ready.select(wait_s):
                return []
        if not (data := os.read(stdout.fileno(), 1 << 16)):
            return None
        *whole, self._rest = (self._rest + data).split(b"\n")
        return whole

    def kill(self) -> int:
        """End it and what it started at once; its exit code, negative: ended by that signal."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        return code

    def wait(self, timeout_s: float) -> int:
        """End its input and wait for its own end, or end it; its exit code as `kill` tells it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.kill()


def become(argv: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process: the program keeps our id, so its exit code and signals are its own.

    Raises: OutsideError where the program is missing.
    """
    try:
        os.execve(argv[0], list(argv), dict(variables))  # noqa: S606 - this module's purpose
    except OSError as error:
        raise _absent(argv[0]) from error


def inherited_variables(*, without: Sequence[str] = (), **extra: str) -> dict[str, str]:
    """The variables of this process, less those that start with one of `without`."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(tuple(without))
    }
    return inherited | extra


def _absent(program: str) -> OutsideError:
    return OutsideError(
        f"{program} was not found, or is no program",
        remedy=f"install {program} and put it on the PATH",
    )
