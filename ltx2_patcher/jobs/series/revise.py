"""The daily verbs of a series: a patch made, changed, dropped or moved, on the patched tree.

Each takes the uncommitted edits or the words it was given, rebuilds the series in memory
(rules/series/stack.py), and ends as an export does, the tree at the new series. It happens wholly
or not at all (jobs/series/publication.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import commits_of
from ltx2_patcher.jobs.series.drafts import (
    OVERLAY,
    Draft,
    NewWords,
    commits_to,
    drafts_in,
    end_of,
    folded,
    index_of,
    named,
    new_message,
    plain,
    require_free,
    reworded_in,
    with_moved,
)
from ltx2_patcher.jobs.series.edited_tree import EditedTree, edited_tree, tree_steps
from ltx2_patcher.jobs.series.export import base_commit, render
from ltx2_patcher.jobs.series.publication import (
    TreeMove,
    holding,
    publish,
    refuse_pending,
    steps_to,
)
from ltx2_patcher.jobs.series.sharing import edited_elsewhere, require_alike, reworded_elsewhere
from ltx2_patcher.jobs.series.working_tree import finish
from ltx2_patcher.rules.series.message import parse_message
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.values.base import GROUPS, Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.series import FileStep, Series


@dataclass(frozen=True, slots=True)
class Revised:
    """What a verb did to the series, or with a dry run would do."""

    base: str
    what: str  # "drop NAME"
    patches: tuple[str, ...]  # the series now
    changed: tuple[str, ...]  # files below the repository's root
    removed: tuple[str, ...]
    place: str
    branch: str
    tip: str | None  # None where nothing moved
    left: tuple[str, ...]  # tracked files whose edits are not committed, and stay so
    finished: str | None  # a change that was cut off, and was finished first


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The series to be, and which of the user's edits are in it."""

    commits: list[objects.NewCommit]
    overlay: Mapping[str, bytes]
    taken: tuple[str, ...] = ()
    elsewhere: tuple[Series, ...] = ()  # of the other bases that share a patch, with the change
    shared: str = ""  # the name of that patch


def new_patch(
    store: Store,
    base: Base,
    tree: Path,
    message: str,
    *,
    after: str | None = None,
    dry_run: bool = False,
) -> Revised:
    """The uncommitted edits are a patch: the last of its group, or the one after `after`.

    A file that upstream lacks counts once it was added (`git add`), and goes to the overlay.

    Raises: UsageError where the name is taken, or `after` is in no place for its group;
    ConflictError where there are no edits, or they build on a patch that would come later
    (Entangled); InvalidError where the message lacks a part, or the result is no sound series;
    BusyError, OutsideError. Nothing is changed then.
    """
    words = parse_message("the message", message)
    name = named(words)

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = drafts_in(stand.series)
        require_free(drafts, name)
        _require_edits(stand, stand.edits.edits)
        now = format_datetime(datetime.now(UTC))
        mine = Draft(message, words.group, objects.IDENTITY, now, stand.edits)
        at = index_of(drafts, after) + 1 if after else end_of(drafts, words.group)
        made = with_moved(stand.base, [*drafts, mine], len(drafts), at)
        _require_order(made, name)
        return _Outcome(commits_to(stand.base, made), stand.overlay, stand.taken)

    return _revise(store, base, tree, f"new {name}", outcome, dry_run=dry_run)


def edit_patch(
    store: Store, base: Base, tree: Path, name: str, *, part: bool = False, dry_run: bool = False
) -> Revised:
    """The uncommitted edits are part of the patch `name`; those of overlay files, of the overlay.

    A patch that other bases share is changed on all of them; with `part` on this one alone, which
    then has a file of its own. With the name "overlay" only edits of the overlay are taken.

    Raises: as new_patch; UsageError for a name that is none; ConflictError where the change does
    not go into the patch of another base as it does here.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        commits = folded(stand.base, stand.series, name, stand.edits)
        _require_edits(stand, stand.edits.edits)
        others = () if part else edited_elsewhere(store, stand, plain(name))
        return _Outcome(commits, stand.overlay, stand.taken, others, plain(name))

    def overlay_alone(stand: EditedTree) -> _Outcome:
        _require_edits(stand, stand.overlaid)
        commits = commits_to(stand.base, drafts_in(stand.series))
        return _Outcome(commits, stand.overlay, stand.overlaid)

    if name == OVERLAY:
        return _revise(store, base, tree, f"edit {OVERLAY}", overlay_alone, dry_run=dry_run)
    return _revise(store, base, tree, f"edit {plain(name)}", outcome, dry_run=dry_run)


def reword_patch(
    store: Store,
    base: Base,
    tree: Path,
    name: str,
    *,
    message: str | None = None,
    group: str | None = None,
    status: str | None = None,
    part: bool = False,
    dry_run: bool = False,
) -> Revised:
    """The patch says `message` of itself, or has another group or status; edits stay edits.

    In another group it is the last one. A new subject gives the file its new name. Other bases that
    share it have the same words then, but for `part`, as in `edit_patch`.

    Raises: as edit_patch.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        said = new_message(stand.series, name, NewWords(message, group, status))
        commits = reworded_in(stand.base, stand.series, name, said)
        others = () if part else reworded_elsewhere(store, stand, plain(name), said)
        new_name = named(parse_message("the message", said))
        return _Outcome(commits, stand.series.overlay, (), others, new_name)

    return _revise(store, base, tree, f"edit {plain(name)}", outcome, dry_run=dry_run)


def drop_patch(
    store: Store, base: Base, tree: Path, name: str, *, dry_run: bool = False
) -> Revised:
    """The patch is in the series and the tree no more; all others do what they did.

    Another base that shares it keeps it.

    Raises: as edit_patch; Entangled where a later patch builds on this one.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = drafts_in(stand.series)
        made = with_moved(stand.base, drafts, index_of(drafts, name), len(drafts) - 1)[:-1]
        if not made:
            raise UsageError(
                f"{name} is the only patch of {base.name}", remedy="a series has one or more"
            )
        return _Outcome(commits_to(stand.base, made), stand.series.overlay)

    return _revise(store, base, tree, f"drop {plain(name)}", outcome, dry_run=dry_run)


def move_patch(
    store: Store, base: Base, tree: Path, name: str, after: str, *, dry_run: bool = False
) -> Revised:
    """The patch comes right after the patch `after`; the files at the end are the same.

    Raises: as edit_patch; Entangled where one on the way builds on the other.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = drafts_in(stand.series)
        at, target = index_of(drafts, name), index_of(drafts, after)
        if at == target:
            raise UsageError(f"{name} can't come after itself", remedy="name another patch")
        made = with_moved(stand.base, drafts, at, target if target > at else target + 1)
        _require_order(made, plain(name))
        return _Outcome(commits_to(stand.base, made), stand.series.overlay)

    what = f"move {plain(name)} after {plain(after)}"
    return _revise(store, base, tree, what, outcome, dry_run=dry_run)


def _revise(
    store: Store,
    base: Base,
    tree: Path,
    what: str,
    outcome: Callable[[EditedTree], _Outcome],
    *,
    dry_run: bool,
) -> Revised:
    finished = None
    with ExitStack() as held:
        if dry_run:
            refuse_pending(store)
        else:
            finished = held.enter_context(holding(store))
        repository = git.Git(tree)
        if not dry_run:
            held.enter_context(disk.locked(repository.state / "lock"))
        repository.refuse_if_busy()
        if journal.pending(repository.state):
            if dry_run:
                raise ConflictError(
                    f"a run on {tree} was cut off", remedy="finish it with `ltx2-patcher apply`"
                )
            finish(repository)
        stand = edited_tree(store, base, repository)
        if finished == what:
            return _revised(stand, what, stand.series, (), None, (), finished)
        made = outcome(stand)
        series = render(store, base, stand.base, made.commits, made.overlay)
        require_alike(series, made.elsewhere, made.shared)
        steps = steps_to(store, series, *made.elsewhere)
        if not steps:
            return _revised(stand, what, series, (), None, made.taken, finished)
        groups = series.lock.groups
        plan = stages(series, groups[-1], {p: stand.base[p] for p in series.lock.before})
        moves = tree_steps(stand, series, plan, made.taken)
        tip = None
        if not dry_run:
            start = base_commit(repository, base, stand.head.commit)
            tip = repository.build(start, commits_of(base, plan))[-1]
            head = stand.head
            move = {
                "left": head.target,
                "left_commit": head.commit,
                "head": head.target,
                "lands": tip,
                "branch": head.target,
                "new": tip,
                "old": head.commit,
            }
            publish(store, what, steps, TreeMove(repository, moves, move))
        return _revised(stand, what, series, steps, tip, made.taken, finished)


def _revised(
    stand: EditedTree,
    what: str,
    series: Series,
    steps: tuple[FileStep, ...],
    tip: str | None,
    taken: tuple[str, ...],
    finished: str | None,
) -> Revised:
    edited = {*stand.others, *stand.edits.edits, *stand.overlaid}
    return Revised(
        base=series.base,
        what=what,
        patches=tuple(patch.name for patch in series.patches),
        changed=tuple(step.path for step in steps if step.after is not None),
        removed=tuple(step.path for step in steps if step.after is None),
        place=str(stand.repository.tree),
        branch=stand.head.target.removeprefix("refs/heads/"),
        tip=tip,
        left=tuple(sorted(edited - set(taken))),
        finished=finished,
    )


def _require_order(drafts: list[Draft], name: str) -> None:
    order = [GROUPS.index(draft.group) for draft in drafts]
    if order != sorted(order):
        raise UsageError(
            f"{name} can't stand there: the groups stack in the order {', '.join(GROUPS)}",
            remedy=f"change its group first with `ltx2-patcher edit {name} --group GROUP`, "
            "or choose another place",
        )


def _require_edits(stand: EditedTree, there: object) -> None:
    if not there:
        only = f"; only {', '.join(stand.overlaid)}" if stand.overlaid else ""
        raise ConflictError(
            f"{stand.repository.tree} has no such uncommitted edits in packages/*/src{only}",
            remedy="make them there first (`git add` a new file); those of the overlay alone are "
            "taken with `ltx2-patcher edit overlay`",
        )
