"""Apply the series to a git working tree, and take it out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.obtain import midnight
from ltx2_patcher.jobs.tree import (
    finish,
    footing,
    noted,
    publish,
    refuse_edits,
    refuse_taken_branch,
    touched,
)
from ltx2_patcher.rules.fit import Misfit
from ltx2_patcher.rules.plan import Stage, group_named, stages
from ltx2_patcher.rules.standing import judge
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.model import Base, FileStep, Judgement, Lock, Patch, Series, Standing

OVERLAY_MESSAGE = """\
Lay in the overlay

Whole files of the LTX-2 patch toolkit, which the patches after this one call.

It can go when upstream loads a quantized Gemma itself.

Upstream-Status: Declined (LTX-2 issue 164)
Group: gemma-quant
"""

Action = Literal["applied", "removed", "finished", "nothing to do"]


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
    place: str  # the tree, or the interpreter's packages
    group: str | None  # the last group that is in now
    branch: str | None = None
    tip: str | None = None
    overlay: tuple[str, ...] = ()
    patches: tuple[PatchReport, ...] = ()
    finished: tuple[str, ...] = ()  # files that a run that was cut off had left to do


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
    state = git.git_directory(tree) / objects.STATE_FOLDER
    if not journal.pending(state) and not onto_branch and _standing(lock, tree).group == group:
        return Applied(lock.base, "nothing to do", str(tree), group)
    if journal.pending(state) and dry_run:
        return _to_finish(lock, tree, state)
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = finish(repository) if journal.pending(state) else ()
        if not onto_branch and _standing(lock, tree).group == group:
            action: Action = "finished" if finished else "nothing to do"
            return Applied(lock.base, action, str(tree), group, finished=finished)
        series = store.series(base.name, lock)
        done = _apply(repository, base, series, group, onto_branch, dry_run=dry_run)
        return replace(done, finished=finished)


def unapply_tree(store: Store, base: Base, tree: Path, *, dry_run: bool = False) -> Applied:
    """Put HEAD and every touched file back to what they were before apply.

    Raises: as apply_tree; ConflictError where commits or edits of the user's own would be lost.
    """
    lock = store.lock(base.name)
    state = git.git_directory(tree) / objects.STATE_FOLDER
    if journal.pending(state) and dry_run:
        return _to_finish(lock, tree, state)
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = finish(repository) if journal.pending(state) else ()
        head = repository.head()
        ground = footing(repository, head)
        branch, previous = noted(repository)
        if not ground.ours or head.ref is None or head.ref != (branch or head.ref):
            if ground.ours or _standing(lock, tree).standing is not Standing.UPSTREAM:
                raise ConflictError(
                    f"{tree} holds patched files, but not on the branch that apply made",
                    remedy=f"switch to {_named(branch)} first; or leave them behind with "
                    f"`git -C {tree} switch --detach {lock.commit[:12]}`",
                )
            return Applied(lock.base, "nothing to do", str(tree), None, finished=finished)
        paths = touched(repository, ground.start, head.commit, lock)
        before, after = (repository.entries(c, paths) for c in (head.commit, ground.start))
        refuse_edits(repository, paths, before)
        contents = repository.blobs(ground.start, after)
        steps = [
            FileStep(
                path,
                before[path].blob if path in before else None,
                after[path].blob if path in after else None,
                contents.get(path),
            )
            for path in paths
        ]
        # Back to the branch that was left, if it still is where it was.
        still_there = previous is not None and repository.resolve(previous) == ground.start
        back = previous if previous is not None and still_there else ground.start
        if not dry_run:
            move = {
                **_leaving(head),
                "head": back,
                "lands": ground.start,
                "branch": head.ref,
                "new": objects.ABSENT,
                "old": head.commit,
            }
            journal.write(state, steps, move)
            publish(repository)
    return Applied(
        lock.base, "removed", str(tree), None, branch=back, tip=ground.start, finished=finished
    )


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


def commit_of(patch: Patch, files: Mapping[str, bytes]) -> objects.NewCommit:
    """The commit that says what the patch says and leaves `files`."""
    message = f"{patch.subject}\n\n{patch.body}\n"
    return objects.NewCommit(message.encode(), patch.author, patch.date, files)


def _apply(
    repository: git.Git,
    base: Base,
    series: Series,
    group: str,
    onto_branch: str | None,
    *,
    dry_run: bool,
) -> Applied:
    lock, tree = series.lock, repository.tree
    head = repository.head()
    current = repository.entries(head.commit, lock.paths)
    start, ours, paths = head.commit, False, lock.paths
    if _other_than_base(lock, current):
        ground = footing(repository, head)
        start, ours = ground.start, ground.ours
        upstream = repository.entries(start, lock.paths)
        if other := _other_than_base(lock, upstream):
            raise _other_base(repository, series, group, start, other)
        paths = touched(repository, start, head.commit, lock)
        current = repository.entries(head.commit, paths)
    refuse_edits(repository, paths, current)
    # Where the tree is upstream's, its files were just seen to hold these very blobs.
    contents = repository.blobs(start, lock.before) if ours else _on_disk(tree, lock)
    made = stages(series, group, contents)
    if onto_branch:
        branch = f"refs/heads/{onto_branch}"
    else:
        branch = head.ref if ours and head.ref else f"refs/heads/ltx2-patcher/{base.name}"
    old = refuse_taken_branch(repository, branch, start) or objects.ABSENT
    report = Applied(
        base=base.name,
        action="applied",
        place=str(tree),
        group=group,
        branch=branch.removeprefix("refs/heads/"),
        overlay=tuple(series.overlay),
        patches=reports(made),
    )
    if dry_run:
        return report
    tip = repository.build(start, _commits(base, made))[-1]
    if branch != head.ref:
        # A branch that can't be made is told before anything is recorded; under HEAD it is moved
        # with the files.
        repository.move_ref(branch, tip, expect=old)
        old = tip
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
    move = {
        **_leaving(head),
        "head": branch,
        "lands": tip,
        "branch": branch,
        "new": tip,
        "old": old,
        **({} if ours else {"previous": head.target}),
    }
    journal.write(repository.state, steps, move)
    publish(repository)
    if _standing(lock, tree).group != group:
        raise AssertionError(f"{tree} is not what the lock promises after apply")
    return replace(report, tip=tip)


def _standing(lock: Lock, tree: Path) -> Judgement:
    return judge(lock, disk.blob_ids(tree, lock.paths))


def _to_finish(lock: Lock, tree: Path, state: Path) -> Applied:
    """What a dry run can say where a run was cut off: that the next one finishes it first."""
    left = journal.read(state).paths
    return Applied(lock.base, "finished", str(tree), None, finished=left)


def _leaving(head: git.Head) -> dict[str, str]:
    return {"left": head.target, "left_commit": head.commit}


def _named(branch: str | None) -> str:
    return branch.removeprefix("refs/heads/") if branch else "that branch"


def _other_than_base(lock: Lock, entries: dict[str, objects.Entry]) -> list[str]:
    """Where a commit is not the base, as far as the series is concerned."""
    blobs = {p: entry.blob for p, entry in entries.items() if entry.mode == objects.PLAIN}
    blobs |= {p: "" for p, entry in entries.items() if entry.mode != objects.PLAIN}
    return [path for path in lock.paths if blobs.get(path) != lock.before.get(path)]


def _other_base(
    repository: git.Git, series: Series, group: str, start: str, other: list[str]
) -> ConflictError:
    """Another commit; where the files are there at all, with the first hunk that does not fit."""
    lock, misfit = series.lock, ""
    if len(repository.entries(start, lock.before)) == len(lock.before):
        try:
            stages(series, group, repository.blobs(start, lock.before))
        except Misfit as error:
            misfit = f"; {error}"
        except ConflictError:
            misfit = "; the hunks would fit, what stands around them is not the base's"
    return ConflictError(
        f"{repository.tree} is at {start[:12]}, which is not LTX-2 {lock.base} where the patches "
        f"go: {', '.join(other[:3])}{' ...' if len(other) > 3 else ''}{misfit}",
        remedy=f"check out upstream's commit {lock.commit[:12]} there, "
        "or leave --tree (TREE) out to patch a fresh checkout",
    )


def _on_disk(tree: Path, lock: Lock) -> dict[str, bytes]:
    found = {path: disk.read(tree / path) for path in lock.before}
    return {path: content for path, content in found.items() if content is not None}


def _commits(base: Base, made: Sequence[Stage]) -> list[objects.NewCommit]:
    commits = []
    for stage in made:
        if stage.patch is None:
            words = OVERLAY_MESSAGE.encode(), objects.IDENTITY, midnight(base)
            commits.append(objects.NewCommit(*words, stage.files))
        else:
            commits.append(commit_of(stage.patch, stage.files))
    return commits
