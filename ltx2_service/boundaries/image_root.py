"""Pictures of this machine that requests may name: below one folder, and reached by no link."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from ltx2_service.values.request_faults import BadPicture

_STEP = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe or a device would be waited for, were it opened without O_NONBLOCK.
_LAST = _STEP | os.O_NONBLOCK | os.O_NOCTTY


def read_below(root: Path, asked: str, most_bytes: int) -> bytes:
    """The bytes of a regular file below `root`, which `asked` names from there or absolutely.

    Each step is opened from the one before it, so that no link counts, whenever it is put there.
    What is wrong is told without a word of what else there is. Raises: BadPicture.
    """
    with ExitStack() as opened:
        try:
            at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, at)
            *folders, name = _steps(root, asked)
            for folder in folders:
                at = os.open(folder, _STEP | os.O_DIRECTORY, dir_fd=at)
                opened.callback(os.close, at)
            file = os.open(name, _LAST, dir_fd=at)
            opened.callback(os.close, file)
            return _whole(file, most_bytes)
        except (OSError, ValueError) as error:
            raise BadPicture(
                "'image_path' names no file that may be read.",
                remedy="Name a regular file below the folder that the settings give as image_root,"
                f" of at most {most_bytes} bytes, without links.",
                param="image_path",
            ) from error


def _whole(file: int, most_bytes: int) -> bytes:
    """The bytes of an open file. Raises: OSError, ValueError."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ValueError("no regular file")
    with open(file, "rb", closefd=False) as reader:
        data = reader.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError("too large")
    return data


def _steps(root: Path, asked: str) -> tuple[str, ...]:
    """Names from the root to the file. Raises: ValueError."""
    if "\0" in asked:
        raise ValueError(asked)
    path = PurePosixPath(asked)
    if path.is_absolute():
        path = path.relative_to(root)
    if not path.parts or ".." in path.parts:
        raise ValueError(asked)
    return path.parts
