"""What a run is about to change, on disk before the first file is touched.

A checkout or an installed package can't change in one step. The journal holds the content id of
each path before and after, and the bytes to put: the next run finishes whatever lies at either, and
stops at anything else, which is the user's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.series import FileStep

_NAME = "journal.json"


@dataclass(frozen=True, slots=True)
class Journal:
    """The steps of a run, and `move`: what its job needs to publish them (refs, HEAD)."""

    steps: tuple[FileStep, ...]
    move: Mapping[str, str]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the run changes."""
        return tuple(step.path for step in self.steps)


def pending(state: Path) -> bool:
    """Whether a run that used the folder `state` was cut off."""
    with disk.translated(state, reading=True):
        return (state / _NAME).exists()


def write(state: Path, steps: Sequence[FileStep], move: Mapping[str, str]) -> None:
    """Record what is about to change; on disk, come a power cut, when this returns."""
    record = Journal(tuple(steps), move)
    disk.replace(state / _NAME, render(record).encode(), durable=True)


def read(state: Path) -> Journal:
    """The journal that `write` left. Raises: InvalidError where it is damaged."""
    place = state / _NAME
    with disk.translated(place, reading=True):
        data = place.read_bytes()
    try:
        return parse(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(
            f"{place}, which tells what a run that was cut off has left to do, is damaged",
            remedy="look at the files with `git status`, put them back as they were, and remove it",
        ) from error


def render(record: Journal) -> str:
    """A journal as text, which `parse` reads back."""
    raw = {
        "move": dict(record.move),
        "steps": [
            {
                "path": step.path,
                "before": step.before,
                "after": step.after,
                "content": None
                if step.content is None
                else base64.b64encode(step.content).decode(),
            }
            for step in record.steps
        ],
    }
    return json.dumps(raw)


def parse(text: str | bytes) -> Journal:
    """The journal in a text that `render` made."""
    raw = json.loads(text)
    steps = tuple(
        FileStep(
            item["path"],
            item["before"],
            item["after"],
            None if item["content"] is None else base64.b64decode(item["content"]),
        )
        for item in raw["steps"]
    )
    return Journal(steps, raw["move"])


def untouched(journal: Journal, root: Path) -> bool:
    """Whether every file still is, or again is, as it was before the run."""
    present = disk.blob_ids(root, journal.paths)
    return all(present[step.path] == step.before for step in journal.steps)


def carry_out(journal: Journal, root: Path, *, durable: bool = False) -> None:
    """Bring every file below `root` to where the run wanted it.

    With `durable` each is on the disk, come a power cut, before the next one is touched.

    Raises: ConflictError, before anything is touched, where a file is at neither of its contents.
    """
    present = disk.blob_ids(root, journal.paths)
    foreign = [s.path for s in journal.steps if present[s.path] not in {s.before, s.after}]
    if foreign:
        raise ConflictError(
            f"an earlier run was cut off, and since then these were edited: {', '.join(foreign)}",
            remedy="copy your edits elsewhere, put the files back as they were (in a git tree with "
            f"`git checkout -- {foreign[0]}`), and run the same command again",
        )
    for step in journal.steps:
        if present[step.path] == step.after:
            continue
        if step.content is None:
            disk.remove(root / step.path, below=root)
        else:
            disk.replace(root / step.path, step.content, durable=durable)


def forget(state: Path) -> None:
    """The run is done."""
    with disk.translated(state):
        (state / _NAME).unlink()
