"""Apply the series to a git working tree, and take it out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ltx2_patcher.boundaries import disk, git, journal
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.obtain import midnight
from ltx2_patcher.rules.plan import Stage, group_named, stages
from ltx2_patcher.rules.standing import judge
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.model import Base, FileStep, Lock, Series

OVERLAY_MESSAGE = """\
Lay in the overlay

Whole files of the LTX-2 patch toolkit, which the patches after this one call.

It can go when upstream loads a quantized Gemma itself.

Upstream-Status: Declined (LTX-2 issue 164)
Group: gemma-quant
"""
PREVIOUS = "previous-head"
"""File in our state folder: what HEAD held before, for unapply."""

Action = Literal["applied", "removed", "nothing to do"]


@dataclass(frozen=True, slots=True)
class PatchReport:
    """What one patch changed."""

    name: str
    group: str
    files: int
    hunks: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What apply or unapply did, or with a dry run would do."""

    base: str
    action: Action
    place: str  # the tree, or the interpreter
    group: str | None  # the last group that is in now
    branch: str | None
    tip: str | None
    overlay: tuple[str, ...]
    patches: tuple[PatchReport, ...]
    finished: tuple[str, ...]  # files that a run that was cut off had left to do


def branch_of(base: str) -> str:
    """The branch that holds the patched commits."""
    return f"refs/heads/ltx2-patcher/{base}"


def apply_tree(
    store: Store,
    base: Base,
    tree: Path,
    *,
    upto: str | None = None,
    onto_branch: str | None = None,
    dry_run: bool = False,
) -> Applied:
    """Commit the series on a branch of its own and bring the files there.

    The user's branches, commits, stash and other edits stay as they are.

    Raises: UsageError (group), ConflictError (another commit, edits where a patch must go, a hunk
    that does not fit, commits of the user's own on our branch), BusyError, OutsideError,
    InvalidError (the series). Nothing is changed then.
    """
    lock = store.lock(base.name)
    group = group_named(lock, upto)
    state = git.git_directory(tree) / git.STATE_FOLDER
    if not journal.pending(state) and _stands(lock, tree) == group:
        return _nothing(lock, tree, group)
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = _finish(repository) if journal.pending(state) and not dry_run else ()
        if _stands(lock, tree) == group:
            return _nothing(lock, tree, group, finished)
        series = store.series(base.name, lock)
        return _apply(repository, base, series, group, onto_branch, finished, dry_run=dry_run)


def unapply_tree(store: Store, base: Base, tree: Path, *, dry_run: bool = False) -> Applied:
    """Put HEAD and every touched file back to what they were before apply.

    Raises: as apply_tree; ConflictError where commits or edits of the user's own would be lost.
    """
    lock = store.lock(base.name)
    state = git.git_directory(tree) / git.STATE_FOLDER
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = _finish(repository) if journal.pending(state) and not dry_run else ()
        head = repository.head()
        start, ours = _start(repository, head)
        if not ours or head.ref is None:
            if ours or _stands(lock, tree) is not None:
                raise ConflictError(
                    f"{tree} holds the patched files, but not on a branch that apply made",
                    remedy="switch to that branch (`git branch --list 'ltx2-patcher/*'`) first",
                )
            return Applied(
                lock.base, "nothing to do", str(tree), None, None, head.commit, (), (), finished
            )
        paths = _touched(repository, start, head.commit, lock)
        before, after = (repository.entries(c, paths) for c in (head.commit, start))
        _refuse_edits(repository, tree, paths, before)
        contents = repository.blobs(start, after)
        steps = [
            FileStep(
                path,
                before[path].blob if path in before else None,
                after[path].blob if path in after else None,
                contents.get(path),
            )
            for path in paths
        ]
        previous = _previous(repository, start)
        if not dry_run:
            move = {"branch": head.ref, "new": git.ABSENT, "old": head.commit, "head": previous}
            journal.write(state, steps, move)
            _finish(repository)
    return Applied(lock.base, "removed", str(tree), None, previous, start, (), (), finished)


def _apply(
    repository: git.Git,
    base: Base,
    series: Series,
    group: str,
    onto_branch: str | None,
    finished: tuple[str, ...],
    *,
    dry_run: bool,
) -> Applied:
    lock, tree = series.lock, repository.tree
    head = repository.head()
    current = repository.entries(head.commit, lock.paths)
    start, ours, paths = head.commit, False, lock.paths
    if _other_than_base(lock, current):
        start, ours = _start(repository, head)
        upstream = repository.entries(start, lock.paths)
        if other := _other_than_base(lock, upstream):
            raise _other_base(tree, lock, start, other)
        paths = _touched(repository, start, head.commit, lock)
        current = repository.entries(head.commit, paths)
    _refuse_edits(repository, tree, paths, current)
    # Where the tree is upstream's, its files were just seen to hold these very blobs.
    contents = repository.blobs(start, lock.before) if ours else _on_disk(tree, lock)
    made = stages(series, group, contents)
    if onto_branch:
        branch = f"refs/heads/{onto_branch}"
    else:
        branch = head.ref if ours and head.ref else branch_of(base.name)
    old = repository.resolve(branch)
    if old is not None and old != head.commit:
        _refuse_foreign_branch(repository, branch, old)
    report = Applied(
        base=base.name,
        action="applied",
        place=str(tree),
        group=group,
        branch=branch.removeprefix("refs/heads/"),
        tip=None,
        overlay=tuple(series.overlay),
        patches=reports(made),
        finished=finished,
    )
    if dry_run:
        return report
    tip = repository.build(start, _commits(base, made))[-1]
    final = contents | final_contents(made)
    steps = [
        FileStep(
            path,
            current[path].blob if path in current else None,
            lock.after[group].get(path),
            final[path] if path in lock.after[group] else None,
        )
        for path in paths
    ]
    move = {"branch": branch, "new": tip, "old": old or git.ABSENT, "head": branch}
    if not ours:
        move["previous"] = head.ref or head.commit
    journal.write(repository.state, steps, move)
    _finish(repository)
    if _stands(lock, tree) != group:
        raise AssertionError(f"{tree} is not what the lock promises after apply")
    return replace(report, tip=tip)


def reports(made: Sequence[Stage]) -> tuple[PatchReport, ...]:
    """What each patch of a plan changes."""
    return tuple(
        PatchReport(
            stage.patch.name,
            stage.patch.group,
            len(stage.patch.diffs),
            sum(len(diff.hunks) for diff in stage.patch.diffs),
        )
        for stage in made
        if stage.patch is not None
    )


def final_contents(made: Sequence[Stage]) -> dict[str, bytes]:
    """The content that each file has after the last stage."""
    return {path: data for stage in made for path, data in stage.files.items()}


def _stands(lock: Lock, tree: Path) -> str | None:
    """The group that a tree stands at the end of, by content; None: at no such place."""
    return judge(lock, disk.blob_ids(tree, lock.paths)).group


def _nothing(lock: Lock, tree: Path, group: str, finished: tuple[str, ...] = ()) -> Applied:
    action: Action = "applied" if finished else "nothing to do"
    return Applied(lock.base, action, str(tree), group, None, None, (), (), finished)


def _finish(repository: git.Git) -> tuple[str, ...]:
    """Carry out the journal; each step bears being run again."""
    state = repository.state

    def first(move: Mapping[str, str]) -> None:
        if move["new"] != git.ABSENT:
            repository.move_ref(move["branch"], move["new"], expect=move["old"])

    def last(move: Mapping[str, str], steps: Sequence[FileStep]) -> None:
        repository.stage({step.path: step.after for step in steps})
        if previous := move.get("previous"):
            disk.replace(state / PREVIOUS, previous.encode())
        repository.point_head(move["head"])
        if move["new"] == git.ABSENT:
            repository.move_ref(move["branch"], git.ABSENT, expect=move["old"])
            (state / PREVIOUS).unlink(missing_ok=True)

    return journal.finish(state, repository.tree, first=first, last=last)


def _start(repository: git.Git, head: git.Head) -> tuple[str, bool]:
    """The commit that the series stands on or goes onto, and whether HEAD is a branch of ours.

    Raises: ConflictError where commits of the user's own lie on top of ours.
    """
    history = repository.history(head.commit)
    below = next((i for i, commit in enumerate(history) if not _is_ours(commit)), len(history))
    if below == len(history):
        return head.commit, False  # the synthetic commit of the wheels is ours and has no parent
    if below:
        return history[below].id, True
    if own := _own_commits(history):
        raise ConflictError(
            f"{repository.tree} has commits of your own on top of the patches: {', '.join(own)}",
            remedy="they stay on their branch; start again from upstream below them with "
            f"`git -C {repository.tree} switch --detach {_below(history)[:12]}`, "
            "then apply with --onto-branch NAME",
        )
    return head.commit, False


def _is_ours(commit: git.PastCommit) -> bool:
    return commit.ours and commit.parent is not None


def _own_commits(history: Sequence[git.PastCommit]) -> list[str]:
    """The commits above the first of ours, as "id subject"; empty where none of ours is there."""
    for index, commit in enumerate(history):
        if _is_ours(commit):
            return [f"{own.id[:10]} {own.subject}" for own in history[:index]]
    return []


def _below(history: Sequence[git.PastCommit]) -> str:
    """The commit that ours stand on."""
    flags = [_is_ours(commit) for commit in history]
    return history[flags.index(False, flags.index(True))].id


def _touched(repository: git.Git, start: str, tip: str, lock: Lock) -> tuple[str, ...]:
    """Every path that the series of now or the one that is in (an older one, perhaps) changes."""
    return tuple(sorted({*lock.paths, *repository.changed(start, tip)}))


def _other_than_base(lock: Lock, entries: Mapping[str, git.Entry]) -> list[str]:
    """Where a commit is not the base, as far as the series is concerned."""
    blobs = {path: entry.blob for path, entry in entries.items()}
    return [path for path in lock.paths if blobs.get(path) != lock.before.get(path)]


def _other_base(tree: Path, lock: Lock, start: str, other: list[str]) -> ConflictError:
    return ConflictError(
        f"{tree} is at {start[:12]}, which is not LTX-2 {lock.base} where the patches go: "
        f"{', '.join(other[:3])}{' ...' if len(other) > 3 else ''}",
        remedy=f"check out upstream's commit {lock.commit[:12]} there, "
        "or leave --tree (TREE) out to patch a fresh checkout",
    )


def _refuse_edits(
    repository: git.Git, tree: Path, paths: Sequence[str], current: Mapping[str, git.Entry]
) -> None:
    """The files and the index must be as in HEAD wherever a file will be replaced."""
    found = disk.blob_ids(tree, paths)
    staged = repository.staged(paths)
    edited = [
        path
        for path in paths
        if found[path] != (current[path].blob if path in current else None)
        or staged.get(path) != current.get(path)
    ]
    if edited:
        raise ConflictError(
            f"{tree} has edits where a patch must go: {', '.join(edited)}",
            remedy="commit them on another branch or put them away with `git stash`, "
            "then try again",
        )


def _refuse_foreign_branch(repository: git.Git, branch: str, tip: str) -> None:
    history = repository.history(tip)
    if not _is_ours(history[0]):
        raise ConflictError(
            f"the branch {branch.removeprefix('refs/heads/')} is there already, with a commit of "
            f"your own ({history[0].id[:10]} {history[0].subject})",
            remedy="choose another name with --onto-branch NAME",
        )


def _previous(repository: git.Git, start: str) -> str:
    """Where HEAD goes back to: the branch it was on, if that still is where it was."""
    noted = disk.read(repository.state / PREVIOUS)
    ref = noted.decode().strip() if noted else ""
    return ref if ref.startswith("refs/") and repository.resolve(ref) == start else start


def _on_disk(tree: Path, lock: Lock) -> dict[str, bytes]:
    found = {path: disk.read(tree / path) for path in lock.before}
    return {path: content for path, content in found.items() if content is not None}


def _commits(base: Base, made: Sequence[Stage]) -> list[git.NewCommit]:
    commits = []
    for stage in made:
        if (patch := stage.patch) is None:
            message, author, date = OVERLAY_MESSAGE, git.IDENTITY, midnight(base)
        else:
            message, author, date = f"{patch.subject}\n\n{patch.body}\n", patch.author, patch.date
        commits.append(git.NewCommit(message.encode(), author, date, stage.files))
    return commits
