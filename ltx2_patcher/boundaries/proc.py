"""The only module that starts processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError


@dataclass(frozen=True, slots=True)
class Done:
    """A finished process."""

    argv: tuple[str, ...]
    code: int  # negative: ended by that signal
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)

    @property
    def last_words(self) -> str:
        """Its fatal line on stderr, else its last, for an error message."""
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        fatal = [line for line in lines if line.startswith("fatal: ")]
        return [f"exit code {self.code}", *lines, *fatal[:1]][-1]


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
    must not stop half-way runs to its end also when we are interrupted.

    Raises: OutsideError where the program is missing or outlasts `timeout_s` (it is killed then).
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            cwd=cwd,
            env=env,
            timeout=timeout_s,
            start_new_session=own_session,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise OutsideError(
            f"{argv[0]} was not found", remedy=f"install {argv[0]} and put it on the PATH"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OutsideError(
            f"{' '.join(argv[:3])} did not answer within {timeout_s:.0f} s",
            remedy="check the network and try again",
        ) from error
    return Done(tuple(argv), done.returncode, done.stdout, done.stderr)


def environment(*, without: Sequence[str] = (), **extra: str) -> dict[str, str]:
    """The environment of this process, less the variables that start with one of `without`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(tuple(without))}
    return kept | extra
