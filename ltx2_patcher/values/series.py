"""A series and its parts, and how a tree stands against one. All frozen; valid once built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines of a text put in the place of others; each line with its end."""

    start: int  # index of the first line in the old text, from 0
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]

    @property
    def end(self) -> int:
        """Index of the line after the last one taken away."""
        return self.start + len(self.old)

    @property
    def growth(self) -> int:
        """By how many lines the text gets longer."""
        return len(self.new) - len(self.old)


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk: the lines it takes away and puts, each with its line end."""

    start: int  # first line in the old file, from 1
    old: tuple[bytes, ...]  # context and removed lines, in order
    new: tuple[bytes, ...]  # context and added lines, in order
    header: str  # "@@ -1,3 +1,4 @@ def f():"
    edits: tuple[Edit, ...]  # the same without the context


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What a patch does to one existing file."""

    path: str  # in upstream's tree, with forward slashes
    before: str  # git blob id
    after: str  # git blob id
    hunks: tuple[Hunk, ...]

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Those of all hunks, in order."""
        return tuple(edit for hunk in self.hunks for edit in hunk.edits)


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch file, and what it says about itself."""

    name: str  # "quantize_gemma_while_loading.patch"
    subject: str
    body: str  # the reason, retirement and trailers, without the subject
    author: str  # "Name <mail>"
    date: str  # as in the mail header
    group: str
    status: str  # Upstream-Status
    diffs: tuple[FileDiff, ...]
    data: bytes = field(repr=False)  # the file, never re-encoded


@dataclass(frozen=True, slots=True)
class Shared:
    """Which shared file a patch is made of, and the lines that this base puts into it."""

    form: str  # the folder below patches/shared, named for the first base that had the file
    lines: Mapping[int, bytes]  # by their number in that file, from 1; without a line end


@dataclass(frozen=True, slots=True)
class LockedPatch:
    """What a lock holds of one patch."""

    sha256: str  # of the whole canonical patch
    group: str
    shared: Shared | None = None  # None: the file lies in the base's own folder


@dataclass(frozen=True, slots=True)
class Lock:
    """What a series promises: digests of its parts, and blob ids of the files it touches.

    `before` and each entry of `after` map a path in upstream's tree to a git blob id. A path of the
    overlay is in every `after` and never in `before`.
    """

    base: str
    commit: str
    patches: Mapping[str, LockedPatch]  # by file name, in order
    before: Mapping[str, str]
    after: Mapping[str, Mapping[str, str]]  # group, in stacking order -> path -> blob id

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that have patches, in stacking order."""
        return tuple(self.after)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the whole series changes or adds."""
        return tuple(self.after[self.groups[-1]])

    @property
    def overlay(self) -> Mapping[str, str]:
        """The blob ids of the overlay's files."""
        return {p: blob for p, blob in self.after[self.groups[0]].items() if p not in self.before}


@dataclass(frozen=True, slots=True)
class Series:
    """The patches of one base in order, the overlay's files, and the lock that holds them."""

    base: str
    patches: tuple[Patch, ...]
    overlay: Mapping[str, bytes] = field(repr=False)  # path in upstream's tree -> content
    symbols: Mapping[str, Mapping[str, tuple[str, ...]]]  # group -> path -> what must stand there
    lock: Lock


class Standing(Enum):
    """Where a tree stands against a lock."""

    UPSTREAM = "upstream"  # every file as upstream has it
    PATCHED = "patched"  # every file as at the end of one group
    EDITED = "edited"  # some file is at neither
    MISSING = "missing"  # not a tree of this base at all


@dataclass(frozen=True, slots=True)
class Judgement:
    """A tree against a lock, told by content alone."""

    standing: Standing
    group: str | None  # the last group that is in, where PATCHED
    differing: tuple[str, ...]  # paths that are at neither, where EDITED


@dataclass(frozen=True, slots=True)
class FileStep:
    """One file's change: content ids and the bytes to put; None where the file is absent."""

    path: str  # relative to the root of what is changed
    before: str | None
    after: str | None
    content: bytes | None = field(repr=False)
