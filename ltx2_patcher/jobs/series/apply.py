"""Apply the series to a git working tree, and take it out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series import locks
from ltx2_patcher.jobs.series.obtain import midnight
from ltx2_patcher.jobs.series.support import find_support
from ltx2_patcher.jobs.series.working_tree import (
    finish,
    footing,
    noted,
    publish,
    refuse_edits,
    refuse_taken_branch,
    touched,
)
from ltx2_patcher.rules.series.drift import stages_of
from ltx2_patcher.rules.series.plan import Stage, group_named, stages
from ltx2_patcher.rules.series.three_way import Fit, How
from ltx2_patcher.rules.series.tree_state import stands_at
from ltx2_patcher.values.base import GROUPS, Base
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import FileStep, Lock, Standing

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
    how: How = How.STRICT


@dataclass(frozen=True, slots=True)
class Applied:
    """What apply or unapply did, or with a dry run would do."""

    base: str
    action: Action
    place: str  # the tree, or the interpreter's packages
    group: str | None  # the last group that is in now
    revision: str | None = None  # the commit that the series is on, where that is not its base
    branch: str | None = None
    tip: str | None = None
    overlay: tuple[str, ...] = ()
    patches: tuple[PatchReport, ...] = ()
    finished: tuple[str, ...] = ()  # files that a run that was cut off had left to do


def apply_tree(
    store: Store,
    base: Base | None,
    tree: Path,
    *,
    upto: str | None = None,
    onto_branch: str | None = None,
    dry_run: bool = False,
) -> Applied:
    """Commit the series on a branch of its own and bring the files there.

    Without a base it is the series of the base that the tree is at. On a revision that is none, the
    one that supports it goes in, merged three ways; the result says so. The user's branches,
    commits, stash and other edits stay as they are.

    Raises: UsageError (group, a branch's name), ConflictError (edits where a patch must go, a
    revision that no series supports, commits of the user's own on our branch), BusyError,
    OutsideError, InvalidError (the series). Nothing is changed then.
    """
    bases = (base,) if base else store.bases()
    state = git.git_directory(tree) / objects.STATE_FOLDER
    known = locks.locks(store, bases, state)
    lock, group = _there(known, tree, upto)
    if not journal.pending(state) and onto_branch is None and group:
        return _nothing_to_do(store, lock, tree, group)
    if journal.pending(state) and dry_run:
        return _to_finish(lock, tree, state)
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = finish(repository) if journal.pending(state) else ()
        known = locks.locks(store, bases, state)  # a run before this one may have made one
        lock, group = _there(known, tree, upto)
        if onto_branch is None and group:
            done = _nothing_to_do(store, lock, tree, group)
            return replace(done, action="finished", finished=finished) if finished else done
        pinned = [lock for lock in known if lock.commit == store.base(lock.base).commit]
        done = _apply(store, repository, pinned, upto, onto_branch, dry_run=dry_run)
        return replace(done, finished=finished)


def unapply_tree(store: Store, base: Base | None, tree: Path, *, dry_run: bool = False) -> Applied:
    """Put HEAD and every touched file back to what they were before apply.

    Raises: as apply_tree; ConflictError where commits or edits of the user's own would be lost, or
    the tree is no LTX-2.
    """
    bases = (base,) if base else store.bases()
    state = git.git_directory(tree) / objects.STATE_FOLDER
    if journal.pending(state) and dry_run:
        lock, _ = locks.closest(locks.locks(store, bases, state), tree)
        return _to_finish(lock, tree, state)
    with disk.locked(state / "lock"):
        repository = git.Git(tree)
        repository.refuse_if_busy()
        finished = finish(repository) if journal.pending(state) else ()
        lock, judgement = locks.closest(locks.locks(store, bases, state), tree)
        head = repository.head()
        ground = footing(repository, head)
        branch, previous = noted(repository)
        if not ground.ours or head.ref is None or head.ref != (branch or head.ref):
            patched = judgement.standing is not Standing.UPSTREAM and _has_overlay(lock, tree)
            if ground.ours or patched:
                raise ConflictError(
                    f"{tree} holds patched files, but not on the branch that apply made",
                    remedy=f"switch to {_named(branch)} first; or leave them behind with "
                    f"`git -C {tree} switch --detach {lock.commit[:12]}`",
                )
            if judgement.standing is Standing.MISSING:
                raise ConflictError(
                    f"{tree} is no LTX-2: no file that a patch goes into is there",
                    remedy="name the patched clone of upstream with --tree",
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """What goes into a tree: the lock it will stand against, and every commit's files."""

    lock: Lock
    group: str
    stages: tuple[Stage, ...]
    contents: Mapping[str, bytes] = field(repr=False)  # of the files before
    reports: tuple[PatchReport, ...]
    is_base: bool


def commits_of(base: Base, made: Sequence[Stage]) -> list[objects.NewCommit]:
    """The commits that a series becomes, the overlay's first."""
    commits = []
    for stage in made:
        if (patch := stage.patch) is None:
            message, author, date = OVERLAY_MESSAGE, objects.IDENTITY, midnight(base)
        else:
            message, author, date = f"{patch.subject}\n\n{patch.body}\n", patch.author, patch.date
        commits.append(objects.NewCommit(message.encode(), author, date, stage.files))
    return commits


def _apply(
    store: Store,
    repository: git.Git,
    pinned: Sequence[Lock],
    upto: str | None,
    onto_branch: str | None,
    *,
    dry_run: bool,
) -> Applied:
    tree, head = repository.tree, repository.head()
    every = sorted({path for lock in pinned for path in lock.paths})
    start, ours = head.commit, False
    lock = _at_base(pinned, repository.entries(start, every))
    if lock is None:
        ground = footing(repository, head)
        start, ours = ground.start, ground.ours
        lock = _at_base(pinned, repository.entries(start, every)) if ours else None
    plan = None
    if lock is None:
        plan = _supported(store, repository, start, pinned, upto)
        lock = plan.lock
    paths = touched(repository, start, head.commit, lock) if ours else lock.paths
    current = repository.entries(head.commit, paths)
    refuse_edits(repository, paths, current)
    if plan is None:
        # Where the tree is upstream's, its files were just seen to hold these very blobs.
        contents = repository.blobs(start, lock.before) if ours else _on_disk(tree, lock)
        plan = _exact(store, lock, upto, contents)
    base, group = store.base(lock.base), plan.group
    if onto_branch is not None:
        branch = repository.branch_ref(onto_branch)
    else:
        branch = head.ref if ours and head.ref else f"refs/heads/ltx2-patcher/{base.name}"
    old = refuse_taken_branch(repository, branch, start) or objects.ABSENT
    report = Applied(
        base=base.name,
        action="applied",
        place=str(tree),
        group=group,
        revision=None if plan.is_base else start,
        branch=branch.removeprefix("refs/heads/"),
        overlay=tuple(plan.stages[0].files),
        patches=plan.reports,
    )
    if dry_run:
        return report
    tip = repository.build(start, commits_of(base, plan.stages))[-1]
    if branch != head.ref:
        # A branch that can't be made is told before anything is recorded; under HEAD it is moved
        # with the files.
        repository.move_ref(branch, tip, expect=old)
        old = tip
    final = {**plan.contents, **final_contents(plan.stages)}
    # What only an older series of ours changed goes back to what stands below it.
    below = repository.entries(start, [path for path in paths if path not in lock.after[group]])
    final |= repository.blobs(start, below)
    after = {**lock.after[group], **{path: entry.blob for path, entry in below.items()}}
    steps = [
        FileStep(
            path,
            current[path].blob if path in current else None,
            after.get(path),
            final[path] if path in after else None,
        )
        for path in paths
    ]
    # A second branch of ours leaves what the first one left.
    left = noted(repository)[1] or start if ours else head.target
    move = {
        **_leaving(head),
        "head": branch,
        "lands": tip,
        "branch": branch,
        "new": tip,
        "old": old,
        **({} if branch == head.ref else {"previous": left}),
    }
    if not plan.is_base:
        locks.keep(repository.state, lock)
    journal.write(repository.state, steps, move)
    publish(repository)
    if not stands_at(lock, locks.closest([lock], tree)[1], group):
        raise AssertionError(f"{tree} is not what the lock promises after apply")
    return replace(report, tip=tip)


def _exact(store: Store, lock: Lock, upto: str | None, contents: Mapping[str, bytes]) -> _Plan:
    group = group_named(lock, upto)
    made = stages(store.series(lock.base, lock), group, contents)
    return _Plan(lock, group, made, contents, reports(made), is_base=True)


def _supported(
    store: Store, repository: git.Git, start: str, pinned: Sequence[Lock], upto: str | None
) -> _Plan:
    support = find_support(store, repository, start, pinned)
    group = group_named(support.series.lock, upto)
    last = GROUPS.index(group)
    wanted = [fit for fit in support.laid.fits if GROUPS.index(fit.patch.group) <= last]
    return _Plan(
        support.series.lock,
        group,
        stages_of(support.series, support.laid, group),
        support.tree,
        tuple(map(_report, wanted)),
        is_base=False,
    )


def _report(fit: Fit) -> PatchReport:
    hunks = sum(len(diff.hunks) for diff in fit.patch.diffs)
    return PatchReport(
        fit.patch.name, fit.patch.group, len(fit.files), hunks if fit.files else 0, fit.how
    )


def _there(known: Sequence[Lock], tree: Path, upto: str | None) -> tuple[Lock, str | None]:
    """The lock that the tree is closest to, and the group asked for where the tree is there."""
    lock, judgement = locks.closest(known, tree)
    group = group_named(lock, upto)
    return lock, group if stands_at(lock, judgement, group) else None


def _nothing_to_do(store: Store, lock: Lock, tree: Path, group: str) -> Applied:
    revision = None if lock.commit == store.base(lock.base).commit else lock.commit
    return Applied(lock.base, "nothing to do", str(tree), group, revision=revision)


def _to_finish(lock: Lock, tree: Path, state: Path) -> Applied:
    """What a dry run can say where a run was cut off: that the next one finishes it first."""
    left = journal.read(state).paths
    return Applied(lock.base, "finished", str(tree), None, finished=left)


def _leaving(head: git.Head) -> dict[str, str]:
    return {"left": head.target, "left_commit": head.commit}


def _named(branch: str | None) -> str:
    return branch.removeprefix("refs/heads/") if branch else "that branch"


def _has_overlay(lock: Lock, tree: Path) -> bool:
    """Whether a file of the overlay lies in the tree, whatever the others hold."""
    found = disk.blob_ids(tree, lock.overlay)
    return any(found[path] == blob for path, blob in lock.overlay.items())


def _at_base(pinned: Sequence[Lock], entries: Mapping[str, objects.Entry]) -> Lock | None:
    """The base that a commit is, as far as its series is concerned."""
    blobs = {p: entry.blob if entry.mode == objects.PLAIN else "" for p, entry in entries.items()}
    for lock in pinned:
        if all(blobs.get(path) == lock.before.get(path) for path in lock.paths):
            return lock
    return None


def _on_disk(tree: Path, lock: Lock) -> dict[str, bytes]:
    found = {path: disk.read(tree / path) for path in lock.before}
    return {path: content for path, content in found.items() if content is not None}
