"""A private repository to build in, gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import Objects, sealed_environment
from ltx2_patcher.boundaries.proc import call
from ltx2_patcher.values.errors import OutsideError


@contextmanager
def scratch() -> Iterator[Objects]:
    """An empty repository that no setting or attribute of the user's reaches.

    Raises: OutsideError where there is no room for it.
    """
    with disk.translated(Path(tempfile.gettempdir())):
        folder = tempfile.TemporaryDirectory()
    with folder as name:
        done = call(("git", "init", "-q", "--bare", "--template=", name), env=sealed_environment())
        if done.code:
            raise OutsideError(
                f"git init failed in {name}: {done.complaint}",
                remedy="free some space in the folder for temporary files (TMPDIR)",
            )
        yield Objects(Path(name))
