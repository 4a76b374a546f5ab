"""Which code is on disk, so that a worker that runs older code is told from one that does not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import ltx2_patcher
import ltx2_service

_OURS = ("boundaries", "rules", "values", "worker")  # what a worker is made of
_TOOLS = ("boundaries/child.py", "boundaries/proc.py", "boundaries/disk.py")


def digest() -> str:
    """Of what a worker is made of."""
    service, tool = (Path(str(p.__file__)).parent for p in (ltx2_service, ltx2_patcher))
    files = [path for part in _OURS for path in sorted((service / part).rglob("*.py"))]
    found = hashlib.blake2b(digest_size=8)
    for path in (*files, *(tool / name for name in _TOOLS)):
        found.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()
