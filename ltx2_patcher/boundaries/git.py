"""One repository with a working tree: HEAD, index and files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import ABSENT, STATE_FOLDER, Entry, Objects
from ltx2_patcher.boundaries.refusals import no_permission
from ltx2_patcher.boundaries.sealed_git import damaged
from ltx2_patcher.values.errors import BusyError, ConflictError, UsageError

_BUSY = (
    "rebase-merge",
    "rebase-apply",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "sequencer",  # between two of several picks
    "BISECT_LOG",
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where HEAD points."""

    commit: str
    ref: str | None  # None when detached

    @property
    def target(self) -> str:
        """The branch, or when detached the commit."""
        return self.ref or self.commit


class Git(Objects):
    """One repository with a working tree."""

    def __init__(self, tree: Path) -> None:
        super().__init__(tree)
        self.tree = tree
        self.directory = git_directory(tree)

    @property
    def state(self) -> Path:
        """Our folder in the git directory."""
        return self.directory / STATE_FOLDER

    def refuse_if_busy(self) -> None:
        """Leave a tree alone that the user or git is at work on.

        Raises: BusyError in the middle of a rebase, merge or bisect, or where git holds the index.
        """
        if busy := [name for name in _BUSY if (self.directory / name).exists()]:
            raise BusyError(
                f"{self.tree} is in the middle of something ({busy[0]})",
                remedy="finish or abort it (`git status` says how), then try again",
            )
        if not _gone(self.directory / "index.lock", wait_s=5):
            raise BusyError(
                f"git is at work in {self.tree} (index.lock)",
                remedy="wait for it to end; if none runs, remove .git/index.lock",
            )

    def head(self) -> Head:
        """Raises: ConflictError where git finds no commit, or the files lie elsewhere; OutsideError
        where git may not read its own.
        """
        done = self._run("rev-parse", "--show-toplevel", "HEAD^{commit}", ok={0, 128})
        if done.code:
            for name in ("HEAD", "config", "objects", "refs"):  # which git then takes for missing
                place = self.directory / name
                if place.exists() and not os.access(place, os.R_OK):
                    raise no_permission(place, reading=True)
            raise damaged(self.tree, f"it finds no commit, {done.complaint}")
        top, commit = done.out.rsplit(b"\n", 2)[:2]
        if not self.tree.samefile(os.fsdecode(top)):
            raise ConflictError(
                f"the files of {self.tree} lie in {os.fsdecode(top)} (core.worktree)",
                remedy="name that folder with --tree, or a clone of its own",
            )
        kind, _, ref = os.fsdecode((self.directory / "HEAD").read_bytes()).strip().partition(": ")
        return Head(commit.decode(), ref if kind == "ref" else None)

    def is_sparse(self) -> bool:
        """Whether the working tree leaves files out on purpose."""
        return (self.directory / "info/sparse-checkout").exists()

    def branch_ref(self, name: str) -> str:
        """A branch's full name. Raises: UsageError where git takes no branch of that name."""
        done = self._run("check-ref-format", "--branch", name, ok={0, 1, 128, 129})
        if done.out.decode("utf-8", "surrogateescape") != f"{name}\n":  # "@{-1}" stands for another
            raise UsageError(
                f"{name!r} can't be the name of a branch",
                remedy="give a name of letters, digits, - and /, that begins with a letter",
            )
        return f"refs/heads/{name}"

    def checked_out_elsewhere(self, branch: str) -> str | None:
        """Another worktree of this repository that has `branch` checked out."""
        common = self.directory
        if (pointer := self.directory / "commondir").exists():
            common = self.directory / os.fsdecode(pointer.read_bytes()).strip()
        if not (common / "worktrees").is_dir():
            return None  # no linked worktree, no process to ask
        listed = self._run("worktree", "list", "--porcelain").out.decode("utf-8", "surrogateescape")
        for entry in listed.split("\n\n"):
            lines = entry.splitlines()
            if f"branch {branch}" in lines:
                place = Path(lines[0].removeprefix("worktree "))
                if not (place.exists() and place.samefile(self.tree)):
                    return str(place)
        return None

    def staged(self, paths: Iterable[str]) -> dict[str, Entry]:
        """The index entries at `paths`, absent ones left out; an unmerged path has mode "0"."""
        if not (wanted := list(paths)):
            return {}  # without a path git lists them all
        rows = self._run("ls-files", "-s", "-z", "--", *wanted).out
        entries: dict[str, Entry] = {}
        for row in rows.split(b"\0"):
            if row:
                info, _, path = row.partition(b"\t")
                mode, blob, stage = info.decode().split()
                name = path.decode("utf-8", "surrogateescape")
                entries[name] = Entry(mode if stage == "0" else "0", blob)
        return entries

    def dirty(self) -> list[str]:
        """The tracked files that differ from HEAD, in the index or the working tree.

        Raises: OutsideError where one may not be looked at, which git takes for removed.
        """
        # The porcelain compares contents where only times differ, as after a copy; it would stop
        # at an order file of the user's that is gone.
        flags = ("-z", "--name-only", "--no-renames", "--no-ext-diff", "-O/dev/null")
        out = self._run("diff", *flags, "HEAD").out
        differing = [path.decode("utf-8", "surrogateescape") for path in out.split(b"\0") if path]
        disk.require_readable(self.tree, differing)
        return differing

    def point_head(self, to: str) -> None:
        """Point HEAD at a branch ("refs/...") or, detached, at a commit; no file is touched."""
        if to.startswith("refs/"):
            self._run("symbolic-ref", "-m", "ltx2-patcher", "HEAD", to)
        else:
            self._run("update-ref", "--no-deref", "-m", "ltx2-patcher", "HEAD", to)

    def stage(self, blobs: Mapping[str, str | None]) -> None:
        """Set the index entries at these paths, leaving every other entry as it is."""
        rows = b"".join(
            b"0 %s\t%s\0" % (ABSENT.encode(), path.encode())
            if blob is None
            else b"100644 %s\t%s\0" % (blob.encode(), path.encode())
            for path, blob in blobs.items()
        )
        self._run("update-index", "-z", "--index-info", stdin=rows)
        # Takes the new files' times into the index, which git would do by itself: 1 says that some
        # other file has edits, 128 that a filter of the user's failed on one.
        self._run("update-index", "-q", "--refresh", ok={0, 1, 128})

    def configure(self, key: str, value: str) -> None:
        """Set one of the repository's own settings."""
        self._run("config", key, value)

    def check_out(self, commit: str) -> None:
        """Fill the working tree of a new repository; HEAD is left detached at `commit`."""
        # Attributes of upstream name a large-file filter for its demo media: no patch needs those.
        self._run("-c", "advice.detachedHead=false", "checkout", "-q", "--detach", commit)


def _gone(path: Path, *, wait_s: float) -> bool:
    """Whether nothing stands at `path`, or what does goes away in time."""
    deadline = time.monotonic() + wait_s
    while path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def git_directory(tree: Path) -> Path:
    """The git directory of a working tree, found without starting git.

    Raises: ConflictError where `tree` is no working tree.
    """
    dot = tree / ".git"
    with disk.translated(dot, reading=True):
        if dot.is_dir():
            return dot
        kind, target = "", ""
        if dot.is_file():
            kind, _, target = os.fsdecode(dot.read_bytes()).strip().partition(": ")
    if kind != "gitdir" and dot.is_file():
        raise damaged(tree, "its .git names no folder")
    if kind != "gitdir":
        raise ConflictError(
            f"{tree} is not the top of a git working tree",
            remedy="name the top folder of a clone of upstream with --tree",
        )
    return (tree / target).resolve()
