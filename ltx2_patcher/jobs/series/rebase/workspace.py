"""The private side of a rebase: its record, the refs that hold its commits, and its worktree."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.objects import ABSENT, STATE_FOLDER, Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.worktree import Worktree, linked
from ltx2_patcher.rules.series.rebase_file import parse_rebase, render_rebase
from ltx2_patcher.values.rebasing import Rebase
from ltx2_patcher.values.series import Patch

_ROOT = f"refs/{STATE_FOLDER}"


@dataclass(frozen=True, slots=True)
class EarlierResolution:
    """How a person settled a patch in a rebase that was aborted, from the very same files."""

    commit: str
    paths: tuple[str, ...]  # the files that it changes


@dataclass(frozen=True, slots=True)
class Workspace:
    """All that a rebase to the base `name` has outside patches/ and vendor/upstream.toml."""

    store: Store
    history: Objects
    name: str

    @property
    def place(self) -> Path:
        """The worktree's folder."""
        return self.store.vendor / f"rebase-{self.name}"

    @property
    def record(self) -> Path:
        """The file that the rebase lives in."""
        return _folder(self.history) / f"{self.name}.json"

    def load(self) -> Rebase:
        """What `save` wrote. Raises: InvalidError where it is no such file."""
        return parse_rebase(disk.read(self.record) or b"", str(self.record))

    def save(self, rebase: Rebase) -> Rebase:
        """Record where the rebase is, on disk come a power cut, its commits held; returns it."""
        self.hold("tip", rebase.tip)
        disk.replace(self.record, render_rebase(rebase), durable=True)
        return rebase

    def hold(self, what: str, commit: str) -> None:
        """Keep `commit` from git's collection until the rebase ends."""
        _point(self.history, f"{_ROOT}/rebase/{self.name}/{what}", commit)

    def worktree(self) -> Worktree | None:
        """The worktree, if there is one."""
        return linked(self.history.place, self.place)

    def reset_worktree(self, rebase: Rebase) -> Worktree:
        """The worktree at `rebase.tip`, made where it is missing; untracked files stay."""
        tree = self.worktree()
        if tree is None:
            with disk.translated(self.place):
                if self.place.exists():  # cut off while it was made: `rescue` found no files
                    shutil.rmtree(self.place)
            self.history.forget_worktrees()
            self.history.add_worktree(self.place.absolute(), rebase.tip)
            tree = Worktree(self.place)
            tree.prepare()
        tree.settle_on(rebase.tip)
        return tree

    def rescue(self, rebase: Rebase) -> tuple[str, ...]:
        """Hold what lies in the worktree and nowhere else, in a ref that stays; its name.

        Empty where the worktree is as it was left to a person, or as one of the rebase's commits. A
        folder that git does not know as the worktree any more is put beside its place; its path.
        """
        tree = self.worktree()
        if tree is None:
            return self._set_aside()
        if not tree.is_filled:
            return ()
        snapshot = tree.snapshot()
        commits = [rebase.onto, *self.history.commits_between(rebase.onto, rebase.tip)]
        if snapshot in tree.trees_of(commits) or (rebase.stop and rebase.stop.tree == snapshot):
            return ()
        message = f"What lay in the worktree of the rebase to {rebase.name}\n"
        date = f"{rebase.date}T00:00:00+0000"
        return (self.keep(tree.commit_of(snapshot, rebase.tip, message, date)),)

    def _set_aside(self) -> tuple[str, ...]:
        with disk.translated(self.place):
            if not self.place.exists() or not {p.name for p in self.place.iterdir()} - {".git"}:
                return ()
            return (str(self.place.rename(_free(self.place.with_name(f"{self.place.name}.left")))),)

    def keep(self, commit: str) -> str:
        """Hold `commit` in a ref that outlives the rebase; its name."""
        ref = f"{_ROOT}/kept/{self.name}/{commit[:12]}"
        _point(self.history, ref, commit)
        return ref

    def earlier_resolution(self, patch: Patch, tip: str) -> EarlierResolution | None:
        """A resolution of `patch` that `keep` holds, whose files were then as they are in `tip`.

        rerere remembers by the conflict in a file, and so not where a hunk was put into another.
        """
        for kept in self.history.refs_below(f"{_ROOT}/kept/").values():
            for commit in takewhile(lambda past: past.ours, self.history.history(kept)):
                if commit.subject != patch.subject or commit.parent is None:
                    continue
                paths = self.history.changed(commit.parent, commit.id)
                before = self.history.blob_ids([commit.parent, tip], paths)
                if before[commit.parent] == before[tip]:
                    return EarlierResolution(commit.id, tuple(paths))
        return None

    def end(self) -> None:
        """Worktree, record and refs are gone; what `keep` holds stays."""
        with disk.translated(self.store.vendor):
            if self.place.exists():
                # In one step, so that no half worktree can be taken for a person's work.
                self.place.rename(_free(self.store.vendor / f".rebase-{self.name}.gone"))
            self.record.unlink(missing_ok=True)
        sweep(self.store, self.history)


def under_way(history: Objects) -> list[str]:
    """The names of the rebases that are under way."""
    return sorted(path.stem for path in _folder(history).glob("[!.]*.json"))


def sweep(store: Store, history: Objects) -> None:
    """Remove what rebases that ended have left when they were cut off."""
    with disk.translated(store.vendor):
        for left in store.vendor.glob(".rebase-*.gone*"):
            shutil.rmtree(left)
    history.forget_worktrees()
    live = set(under_way(history))
    for ref, commit in history.refs_below(f"{_ROOT}/rebase/").items():
        if ref.split("/")[3] not in live:
            history.move_ref(ref, ABSENT, expect=commit)


def lock_of(history: Objects) -> Path:
    """What one process at a time holds, whichever rebase it works on."""
    return _folder(history) / "lock"


def _folder(history: Objects) -> Path:
    return history.place / STATE_FOLDER / "rebase"


def _point(history: Objects, ref: str, commit: str) -> None:
    history.move_ref(ref, commit, expect=history.resolve(ref) or ABSENT)


def _free(path: Path) -> Path:
    number = 0
    while path.with_name(f"{path.name}{number}").exists():
        number += 1
    return path.with_name(f"{path.name}{number}")
