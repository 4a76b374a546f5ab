"""What a run is about to change, on disk before the first file is touched.

A checkout or an installed package can't change in one step. The journal holds the content id of
each path before and after, and the bytes to put: the next run finishes whatever lies at either, and
stops at anything else, which is the user's.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.model import FileStep

_NAME = "journal.json"


def pending(state: Path) -> bool:
    """Whether a run that used the folder `state` was cut off."""
    return (state / _NAME).exists()


def write(state: Path, steps: Sequence[FileStep], move: Mapping[str, str]) -> None:
    """Record `steps`, and `move`: what the caller needs to publish them (refs, HEAD)."""
    raw = {
        "move": dict(move),
        "steps": [
            {
                "path": step.path,
                "before": step.before,
                "after": step.after,
                "content": None
                if step.content is None
                else base64.b64encode(step.content).decode(),
            }
            for step in steps
        ],
    }
    disk.replace(state / _NAME, json.dumps(raw).encode(), durable=True)
    with disk.translated(state):
        folder = os.open(state, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def finish(
    state: Path,
    root: Path,
    *,
    first: Callable[[Mapping[str, str]], None],
    last: Callable[[Mapping[str, str], Sequence[FileStep]], None],
) -> tuple[str, ...]:
    """Carry out what the journal says: `first`, the files below `root`, `last`; then forget it.

    Both callbacks must bear being run again. Returns the paths.

    Raises: ConflictError, before anything is touched, where a file is at neither of its contents.
    """
    raw = json.loads((state / _NAME).read_bytes())
    steps = [
        FileStep(
            item["path"],
            item["before"],
            item["after"],
            None if item["content"] is None else base64.b64decode(item["content"]),
        )
        for item in raw["steps"]
    ]
    found = disk.blob_ids(root, (step.path for step in steps))
    if foreign := [s.path for s in steps if found[s.path] not in {s.before, s.after}]:
        raise ConflictError(
            f"an earlier run was cut off, and since then these were edited: {', '.join(foreign)}",
            remedy="copy your edits elsewhere, put the files back with "
            f"`git -C {root} checkout -- {foreign[0]}`, and run the same command again",
        )
    first(raw["move"])
    for step in steps:
        if found[step.path] == step.after:
            continue
        if step.content is None:
            disk.remove(root / step.path, below=root)
        else:
            disk.replace(root / step.path, step.content)
    last(raw["move"], steps)
    (state / _NAME).unlink()
    return tuple(step.path for step in steps)
