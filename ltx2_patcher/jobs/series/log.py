"""Tell what a series holds: each patch with its reason, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.message import parse_body
from ltx2_patcher.values.base import Base


@dataclass(frozen=True, slots=True)
class TouchedFile:
    """A file of upstream that a patch changes."""

    path: str
    hunks: int


@dataclass(frozen=True, slots=True)
class LoggedPatch:
    """A patch, as it speaks of itself."""

    name: str
    subject: str
    group: str
    status: str  # Upstream-Status
    why: str  # paragraphs, wrapped as in the message
    until: str  # "It can go when ..."
    author: str
    date: str
    files: tuple[TouchedFile, ...]


@dataclass(frozen=True, slots=True)
class Logged:
    """A series in its order."""

    base: str
    commit: str
    patches: tuple[LoggedPatch, ...]
    overlay: tuple[str, ...]


def log(store: Store, base: Base) -> Logged:
    """Read the series of a base; needs no upstream and no checkout.

    Raises: InvalidError where it is not sound.
    """
    series = store.series(base.name)
    patches = []
    for patch in series.patches:
        words = parse_body(patch.name, patch.subject, patch.body)
        files = tuple(TouchedFile(diff.path, len(diff.hunks)) for diff in patch.diffs)
        patches.append(
            LoggedPatch(
                name=patch.name,
                subject=words.subject,
                group=words.group,
                status=words.status,
                why=words.why,
                until=words.until,
                author=patch.author,
                date=patch.date,
                files=files,
            )
        )
    return Logged(base.name, base.commit, tuple(patches), tuple(series.overlay))
