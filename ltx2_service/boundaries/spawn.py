"""The only module of the service that starts processes which outlive it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError


def spawn(
    argv: Sequence[str], variables: Mapping[str, str], log: Path, stdin: int | None = None
) -> int:
    """Start a program in a session of its own, and leave it; its process id.

    What it writes is appended to `log`; it reads nothing, or the open file of that number. Raises:
    OutsideError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    reads: tuple[int, ...] | tuple[int, int, str, int, int]
    reads = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    if stdin is not None:
        reads = (os.POSIX_SPAWN_DUP2, stdin, 0)
    actions = [
        reads,
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        return os.posix_spawn(argv[0], [*argv], variables, file_actions=actions, setsid=True)
    except OSError as error:
        raise OutsideError(
            f"{argv[0]} can't be started: {error.strerror}", remedy="see that it is there"
        ) from error


def has_ended(pid: int) -> bool:
    """Whether a process that `spawn` started has; asked again of one that has, it is True too."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
