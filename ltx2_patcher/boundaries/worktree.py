"""A linked working tree in which a person settles conflicts with git's own means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.git import Git
from ltx2_patcher.boundaries.objects import ABSENT, PLAIN

_SETTINGS = {
    "rerere.enabled": "true",
    "rerere.autoupdate": "false",  # a remembered resolution must be looked at and added
    "merge.conflictStyle": "diff3",
    "mergetool.keepBackup": "false",
    # The user's own settings must not change the bytes that are taken from here.
    "core.autocrlf": "false",
    "core.eol": "lf",
    # What a person settled must outlive a power cut, also where it is one loose object.
    "core.fsync": "all",
}


@dataclass(frozen=True, slots=True)
class Sides:
    """The blobs of a path that clashes; None where that side has no such file."""

    before: str  # before the patch, where the series comes from
    upstream: str | None
    patched: str  # after the patch, where the series comes from


def linked(repository: Path, place: Path) -> Worktree | None:
    """The working tree at `place`, where there is one that `repository` knows.

    Both name each other by absolute paths; here they find each other also after they were moved or
    copied together, which `git worktree repair` would mend in the original of a copy.
    """
    pointer = place / ".git"
    if (text := disk.read(pointer)) is None:
        return None
    own = repository.absolute() / "worktrees" / Path(os.fsdecode(text).strip()).name
    if not own.is_dir():
        return None
    links = {pointer: f"gitdir: {own}\n", own / "gitdir": f"{pointer.absolute()}\n"}
    for path, link in links.items():
        if disk.read(path) != os.fsencode(link):
            disk.replace(path, os.fsencode(link))
    return Worktree(place)


class Worktree(Git):
    """One linked working tree with HEAD detached."""

    def prepare(self) -> None:
        """The repository remembers resolutions, and no setting of the user's changes a byte."""
        for key, value in _SETTINGS.items():
            self.configure(key, value)

    @property
    def is_filled(self) -> bool:
        """Whether it was ever given files."""
        return (self.directory / "index").exists()

    def settle_on(self, commit: str) -> None:
        """HEAD, index and tracked files are those of `commit`; untracked files stay."""
        self._run("reset", "-q", "--hard", commit)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write the files and stage them."""
        for path, content in files.items():
            disk.replace(self.tree / path, content)
        self._run("update-index", "-z", "--stdin", stdin=b"".join(_row(p) for p in files))

    def leave_unmerged(self, clashes: Mapping[str, Sides]) -> None:
        """Make each path an unmerged entry of the index, as git does when it stops."""
        rows = bytearray()
        for path, sides in clashes.items():
            rows += b"0 %s\t%s" % (ABSENT.encode(), _row(path))
            for stage, blob in enumerate((sides.before, sides.upstream, sides.patched), start=1):
                if blob is not None:
                    rows += f"{PLAIN} {blob} {stage}\t".encode() + _row(path)
        self._run("update-index", "-z", "--index-info", stdin=bytes(rows))

    def remember(self) -> None:
        """Let rerere use what it knows on clashing files, and learn from those that are settled."""
        self._run("rerere")

    def unmerged(self) -> list[str]:
        """The paths that are not marked as settled."""
        rows = self._run("ls-files", "-u", "-z").out.split(b"\0")
        return sorted({_path(row.partition(b"\t")[2]) for row in rows if row})

    def not_added(self) -> list[str]:
        """The tracked files whose edits are not in the index."""
        self._run("update-index", "-q", "--refresh", ok={0, 1})
        out = self._run("diff-files", "-z", "--name-only", "--no-ext-diff").out
        return [_path(name) for name in out.split(b"\0") if name]

    def added(self, commit: str) -> dict[str, str]:
        """What the index changes against `commit`: path -> "M" (modified), "A", "D", "T"."""
        flags = ("--cached", "-z", "--name-status", "--no-renames", "--no-ext-diff")
        fields = self._run("diff-index", *flags, commit).out.split(b"\0")[:-1]
        return {_path(p): kind.decode() for kind, p in zip(fields[::2], fields[1::2], strict=True)}

    def snapshot(self) -> str:
        """The id of a tree with every file as it lies here, ignored ones left out."""
        index = self.state / "snapshot-index"
        disk.replace(index, (self.directory / "index").read_bytes())
        private = {"GIT_INDEX_FILE": str(index)}
        try:
            self._run("add", "-A", variables=private)
            return self._run("write-tree", variables=private).out.decode().strip()
        finally:
            with disk.translated(index):
                index.unlink(missing_ok=True)

    def trees_of(self, commits: Iterable[str]) -> list[str]:
        """The ids of the commits' trees."""
        return self._run("rev-parse", *(f"{c}^{{tree}}" for c in commits)).out.decode().split()

    def commit_of(self, tree: str, parent: str, message: str, date: str) -> str:
        """A commit of ours that holds `tree`; the same message and date give the same id."""
        when = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = self._run("commit-tree", tree, "-p", parent, stdin=message.encode(), variables=when)
        return done.out.decode().strip()


def _row(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape") + b"\0"


def _path(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
