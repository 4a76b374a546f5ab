"""Folders told apart by what their files hold."""

import hashlib
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """Each file below `folder`, by its path, with its sha256."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
