"""A working tree as the series meets it: what HEAD stands on, what is ours, what is the user's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.jobs.series import locks
from ltx2_patcher.rules.series.fields import Wrong, json_document
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import Lock

_NOTE = "applied.json"
"""File in our state folder: the branch that apply made, and what HEAD held before."""


@dataclass(frozen=True, slots=True)
class Footing:
    """Where a series stands in a history, or would go."""

    start: str  # the commit below the first of ours; HEAD where none is ours
    ours: bool  # whether HEAD is a commit of ours


def footing(repository: git.Git, head: git.Head) -> Footing:
    """Find the commit that the series stands on.

    Raises: ConflictError where commits of the user's own lie on top of ours, or a shallow clone
    ends above the commit.
    """
    history = repository.history(head.commit)
    flags = [_is_ours(commit) for commit in history]
    if not any(flags):
        return Footing(head.commit, ours=False)
    if flags[-1]:  # the wheels' commit has no parent, so it never counts as ours
        raise above_the_base(repository)
    first = flags.index(True)
    start = next(c.id for c in history[first:] if not _is_ours(c))
    if first:
        own = ", ".join(f"{commit.id[:10]} {commit.subject}" for commit in history[:first])
        raise ConflictError(
            f"{repository.tree} has commits of your own on top of the patches: {own}",
            remedy="they stay on their branch; start again from upstream below them with "
            f"`git -C {repository.tree} switch --detach {start[:12]}`, "
            "then apply with --onto-branch NAME",
        )
    return Footing(start, ours=True)


def above_the_base(repository: git.Git) -> ConflictError:
    """What to say where the oldest commit that a shallow clone has is still one of ours."""
    return ConflictError(
        f"{repository.tree} is a shallow clone that ends above the patches' base",
        remedy=f"bring the rest with `git -C {repository.tree} fetch --unshallow`",
    )


def touched(repository: git.Git, start: str, tip: str, lock: Lock) -> tuple[str, ...]:
    """Every path that the series of now or the one that is in (an older one, perhaps) changes."""
    return tuple(sorted({*lock.paths, *repository.changed(start, tip)}))


def refuse_edits(
    repository: git.Git, paths: Sequence[str], current: Mapping[str, objects.Entry]
) -> None:
    """The files and the index must be as in HEAD wherever a file will be replaced.

    Raises: ConflictError otherwise; OutsideError where one could not be replaced.
    """
    tree = repository.tree
    disk.require_replaceable(tree, paths)
    found = disk.blob_ids(tree, paths)
    staged = repository.staged(paths)
    edited = [
        path
        for path in paths
        if found[path] != (current[path].blob if path in current else None)
        or staged.get(path) != current.get(path)
    ]
    if not edited:
        return
    if foreign := [path for path in edited if path not in current and found[path] is not None]:
        raise ConflictError(
            f"{tree} has files of its own where the overlay's go: {', '.join(foreign)}",
            remedy="move them away, then try again",
        )
    theirs = [path for path in edited if path in current]
    if theirs and all(disk.has_crlf_of(tree / path, current[path].blob) for path in theirs):
        raise ConflictError(
            f"{tree} has CRLF line ends (core.autocrlf), and the patches are made for LF",
            remedy="clone upstream with `git clone -c core.autocrlf=false` and patch that clone",
        )
    if all(found[path] is None for path in edited) and repository.is_sparse():
        raise ConflictError(
            f"{tree} is a sparse checkout without {', '.join(edited[:3])}",
            remedy="bring the files in with `git sparse-checkout disable`",
        )
    raise ConflictError(
        f"{tree} has edits where a patch must go: {', '.join(edited)}",
        remedy="commit them on another branch or put them away with `git stash`, then try again",
    )


def refuse_taken_branch(repository: git.Git, branch: str, start: str) -> str | None:
    """Our branch may only take the place of one that holds nothing but our commits.

    Returns the commit it is at, if it is there.

    Raises: ConflictError where `branch` has a commit of the user's at its tip, is checked out in
    another worktree, or is all that holds the user's commit below ours.
    """
    name = branch.removeprefix("refs/heads/")
    remedy = "choose another name with --onto-branch NAME"
    if elsewhere := repository.checked_out_elsewhere(branch):
        raise ConflictError(f"the branch {name} is checked out in {elsewhere}", remedy=remedy)
    tip = repository.resolve(branch)
    if tip is None:
        return None
    history = repository.history(tip)
    if not _is_ours(history[0]):
        raise ConflictError(
            f"the branch {name} is there already, with a commit that is not ours "
            f"({history[0].id[:10]} {history[0].subject})",
            remedy=remedy,
        )
    below = footing(repository, git.Head(tip, branch)).start
    if below != start and not set(repository.refs_with(below)) - {branch}:
        raise ConflictError(
            f"only the branch {name} holds your commit {below[:10]} below the patches",
            remedy=f"keep it with `git branch NAME {below[:10]}`, or {remedy}",
        )
    return tip


def note(repository: git.Git, branch: str, previous: str) -> None:
    """Remember, for unapply, the branch that apply made and what HEAD held before."""
    noted = json.dumps({"branch": branch, "previous": previous})
    disk.replace(repository.state / _NOTE, noted.encode())


def noted(repository: git.Git) -> tuple[str | None, str | None]:
    """The branch that apply made and what HEAD held before, where that is known."""
    data = disk.read(repository.state / _NOTE)
    try:
        raw = json_document(data).texts() if data else {}
    except Wrong:
        raw = {}  # a torn one says nothing
    return raw.get("branch"), raw.get("previous")


def finish(repository: git.Git) -> tuple[str, ...]:
    """Finish what a run that was cut off had recorded, from wherever it stopped.

    Returns the paths; none where the user has left the run behind, which is then forgotten.

    Raises: ConflictError where files were edited since, or HEAD was moved away half-way.
    """
    state, tree = repository.state, repository.tree
    record = journal.read(state)
    move, head = record.move, repository.head()
    expected = {(move["left"], move["left_commit"]), (move["head"], move["lands"])}
    if (head.target, head.commit) not in expected:
        if not journal.untouched(record, tree):
            raise ConflictError(
                f"an earlier run on {tree} was cut off, and HEAD was moved since",
                remedy=f"go back with `git -C {tree} switch {_short(move['left'])}` "
                "and run the same command again",
            )
        journal.forget(state)
        return ()
    publish(repository)
    return record.paths


def publish(repository: git.Git) -> None:
    """Carry out what is recorded: branch, files, index, HEAD; each step bears a repetition."""
    state, tree = repository.state, repository.tree
    record = journal.read(state)
    move = record.move
    if move["new"] != objects.ABSENT:
        repository.move_ref(move["branch"], move["new"], expect=move["old"])
    journal.carry_out(record, tree)
    repository.stage({step.path: step.after for step in record.steps})
    if move["new"] != objects.ABSENT and "previous" in move:
        note(repository, move["branch"], move["previous"])
    repository.point_head(move["head"])
    if move["new"] == objects.ABSENT:
        repository.move_ref(move["branch"], objects.ABSENT, expect=move["old"])
        (state / _NOTE).unlink(missing_ok=True)
        locks.forget(state)
    journal.forget(state)


def _is_ours(commit: objects.PastCommit) -> bool:
    return commit.ours and commit.parent is not None


def _short(target: str) -> str:
    return (
        target.removeprefix("refs/heads/") if target.startswith("refs/") else f"--detach {target}"
    )
