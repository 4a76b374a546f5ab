"""What processes hold of the host's memory, where several share a folder of weights."""

from __future__ import annotations

import re
from pathlib import Path

_MAPPING, _REMOVED = re.compile(r"[0-9a-f]+-[0-9a-f]+ "), " (deleted)"
"""Of proc_pid_smaps(5): how a mapping's lines begin, and how the path of a removed file ends."""


def host_bytes(pid: int | str, folder: Path | None) -> int:
    """What a process ("self" is this one) holds, pages that others map too by its share of them,
    but for what lies in `folder`.
    """
    kib, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text("utf-8", "replace").splitlines():
        if _MAPPING.match(line):
            *_, path = line.split(maxsplit=5)
            counts = folder is None or not path.startswith(f"{folder}/") or path.endswith(_REMOVED)
        elif line.startswith("Pss:") and counts:
            kib += int(line.split()[1])
    return kib << 10


def bytes_in(folder: Path) -> int:
    """What the files there take of memory."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
