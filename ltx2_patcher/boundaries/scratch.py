"""A private repository to build in, gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.proc import call
from ltx2_patcher.boundaries.sealed_git import failed, sealed_environment


@contextmanager
def scratch() -> Iterator[Objects]:
    """An empty repository that no setting or attribute of the user's reaches.

    Raises: OutsideError where there is no room for it.
    """
    with disk.temporary_folder() as folder:
        flags = ("-q", "--bare", "--template=")
        done = call(("git", "init", *flags, str(folder)), env=sealed_environment())
        if done.code:
            raise failed(folder, "init", done)
        yield Objects(folder)
