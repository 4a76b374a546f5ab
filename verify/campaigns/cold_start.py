"""What the measured start of a process is not to pay for: files that lie on a disk alone, modules
that nobody has compiled, and host memory that a virtual machine is given when it is first used.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ltx2_patcher.boundaries import proc
from ltx2_patcher.values.errors import OutsideError

_READERS, _READ_BYTES = 8, 16 << 20
_POPULATE = 23  # MADV_POPULATE_WRITE of linux/mman.h, from Linux 5.14 on
_UNCOMPILED = "PYTHONDONTWRITEBYTECODE"


def prepare(paths: Iterable[Path], module: str, variables: Mapping[str, str]) -> None:
    """Read files, and those in folders, from end to end; import a module once, as a program that is
    started with these variables does; take as much memory as the files have, and give it back.

    Raises: OutsideError where it can't be imported.
    """
    files = [
        file
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    ]
    sizes = [file.stat().st_size for file in files]
    pieces = [
        (file, at)
        for file, size in zip(files, sizes, strict=True)
        for at in range(0, size, _READ_BYTES)
    ]
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(_read_piece, pieces))
    compiling = {name: value for name, value in variables.items() if name != _UNCOMPILED}
    done = proc.call([sys.executable, "-c", f"import {module}"], env=compiling)
    if done.code:
        raise OutsideError(f"{module}: {done.complaint}", remedy="run it by itself")
    if sum(sizes):
        _take(sum(sizes))


def _read_piece(piece: tuple[Path, int]) -> None:
    file, at = piece
    with file.open("rb", buffering=0) as stream:
        stream.seek(at)
        stream.read(_READ_BYTES)


def _take(nbytes: int) -> None:
    pages = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with pages, contextlib.suppress(OSError):  # an older Linux has no such call
        pages.madvise(mmap.MADV_HUGEPAGE)
        pages.madvise(_POPULATE)
