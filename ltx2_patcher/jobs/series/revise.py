"""The daily verbs of a series: a patch made, changed, dropped or moved, on the patched tree.

Each takes the uncommitted edits or the words it was given, rebuilds the series in memory
(rules/stack.py), and ends as an export does, the tree at the new series. It happens wholly or not
at all (jobs/publication.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from email.utils import format_datetime
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, journal, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import commits_of
from ltx2_patcher.jobs.series.edited_tree import EditedTree, edited_tree, tree_steps
from ltx2_patcher.jobs.series.export import base_commit, render
from ltx2_patcher.jobs.series.publication import (
    TreeMove,
    holding,
    publish,
    refuse_pending,
    steps_to,
)
from ltx2_patcher.jobs.series.working_tree import finish
from ltx2_patcher.rules.series.mailbox import file_name
from ltx2_patcher.rules.series.message import Words, parse_message, reworded
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.rules.series.stack import Layer, moved, texts
from ltx2_patcher.values.base import GROUPS, Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from ltx2_patcher.values.series import FileStep, Series

OVERLAY = "overlay"
"""What `edit` calls the overlay, which is no patch."""


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
class _Draft:
    """A patch to be: its words, and its edits as a layer of the stack."""

    message: str
    group: str
    author: str
    date: str
    layer: Layer


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The series to be, and which of the user's edits are in it."""

    commits: list[objects.NewCommit]
    overlay: Mapping[str, bytes]
    taken: tuple[str, ...]


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
    name = _named(words)

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = _drafts(stand.series)
        _require_free(drafts, name)
        _require_edits(stand, stand.edits.edits)
        now = format_datetime(datetime.now(UTC))
        mine = _Draft(message, words.group, objects.IDENTITY, now, stand.edits)
        at = _index(drafts, after) + 1 if after else _end_of(drafts, words.group)
        made = _moved(stand, [*drafts, mine], len(drafts), at)
        _require_order(made, name)
        return _outcome(stand, made, stand.edits)

    return _revise(store, base, tree, f"new {name}", outcome, dry_run=dry_run)


def edit_patch(
    store: Store, base: Base, tree: Path, name: str, *, dry_run: bool = False
) -> Revised:
    """The uncommitted edits are part of the patch `name`; those of overlay files, of the overlay.

    With the name "overlay" only the latter are taken.

    Raises: as new_patch; UsageError for a name that is none.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = _drafts(stand.series)
        at = _index(drafts, name)
        _require_edits(stand, stand.edits.edits)
        mine = replace(drafts[at], layer=stand.edits)
        made = _moved(stand, [*drafts, mine], len(drafts), at + 1)
        return _outcome(stand, made, stand.edits, folded=at)

    def overlay_alone(stand: EditedTree) -> _Outcome:
        _require_edits(stand, stand.overlaid)
        made = _outcome(stand, _drafts(stand.series))
        return replace(made, overlay=stand.overlay, taken=stand.overlaid)

    if name == OVERLAY:
        return _revise(store, base, tree, f"edit {OVERLAY}", overlay_alone, dry_run=dry_run)
    return _revise(store, base, tree, f"edit {_plain(name)}", outcome, dry_run=dry_run)


def reword_patch(
    store: Store,
    base: Base,
    tree: Path,
    name: str,
    *,
    message: str | None = None,
    group: str | None = None,
    status: str | None = None,
    dry_run: bool = False,
) -> Revised:
    """The patch says `message` of itself, or has another group or status; edits stay edits.

    In another group it is the last one. A new subject gives the file its new name.

    Raises: as edit_patch.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = _drafts(stand.series)
        at = _index(drafts, name)
        said = reworded(message or drafts[at].message, group=group, status=status)
        words = parse_message("the message", said)
        _require_free(drafts[:at] + drafts[at + 1 :], _named(words))
        stays = words.group == drafts[at].group
        drafts[at] = replace(drafts[at], message=said, group=words.group)
        if not stays:
            end = _end_of(drafts[:at] + drafts[at + 1 :], words.group)
            drafts = _moved(stand, drafts, at, end)
        return _outcome(stand, drafts)

    return _revise(store, base, tree, f"edit {_plain(name)}", outcome, dry_run=dry_run)


def drop_patch(
    store: Store, base: Base, tree: Path, name: str, *, dry_run: bool = False
) -> Revised:
    """The patch is in the series and the tree no more; all others do what they did.

    Raises: as edit_patch; Entangled where a later patch builds on this one.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = _drafts(stand.series)
        made = _moved(stand, drafts, _index(drafts, name), len(drafts) - 1)[:-1]
        if not made:
            raise UsageError(
                f"{name} is the only patch of {base.name}", remedy="a series has one or more"
            )
        return _outcome(stand, made)

    return _revise(store, base, tree, f"drop {_plain(name)}", outcome, dry_run=dry_run)


def move_patch(
    store: Store, base: Base, tree: Path, name: str, after: str, *, dry_run: bool = False
) -> Revised:
    """The patch comes right after the patch `after`; the files at the end are the same.

    Raises: as edit_patch; Entangled where one on the way builds on the other.
    """

    def outcome(stand: EditedTree) -> _Outcome:
        drafts = _drafts(stand.series)
        at, target = _index(drafts, name), _index(drafts, after)
        if at == target:
            raise UsageError(f"{name} can't come after itself", remedy="name another patch")
        made = _moved(stand, drafts, at, target if target > at else target + 1)
        _require_order(made, _plain(name))
        return _outcome(stand, made)

    what = f"move {_plain(name)} after {_plain(after)}"
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
        steps = steps_to(store, series)
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


def _outcome(
    stand: EditedTree, drafts: list[_Draft], mine: Layer | None = None, *, folded: int | None = None
) -> _Outcome:
    """The commits of the drafts; the one at `folded` takes in the one after it."""
    files = texts(stand.base, [draft.layer for draft in drafts])
    if folded is not None:
        files[folded] |= files.pop(folded + 1)
        drafts = drafts[: folded + 1] + drafts[folded + 2 :]
    taken = (*mine.edits, *stand.overlaid) if mine else ()
    return _Outcome(
        [
            objects.NewCommit(draft.message.encode(), draft.author, draft.date, content)
            for draft, content in zip(drafts, files, strict=True)
        ],
        stand.overlay if mine else stand.series.overlay,
        taken,
    )


def _drafts(series: Series) -> list[_Draft]:
    """The series as it is."""
    return [
        _Draft(
            f"{patch.subject}\n\n{patch.body}\n",
            patch.group,
            patch.author,
            patch.date,
            Layer(patch.name, {diff.path: diff.edits for diff in patch.diffs}),
        )
        for patch in series.patches
    ]


def _moved(stand: EditedTree, drafts: list[_Draft], old: int, new: int) -> list[_Draft]:
    layers = moved(stand.base, [draft.layer for draft in drafts], old, new)
    order = list(drafts)
    order.insert(new, order.pop(old))
    return [replace(draft, layer=layer) for draft, layer in zip(order, layers, strict=True)]


def _end_of(drafts: list[_Draft], group: str) -> int:
    """Where the next patch of `group` goes."""
    place = GROUPS.index(group)
    return sum(GROUPS.index(draft.group) <= place for draft in drafts)


def _require_order(drafts: list[_Draft], name: str) -> None:
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


def _index(drafts: list[_Draft], name: str) -> int:
    """Raises: UsageError where the series has no such patch, with the near ones."""
    names = [draft.layer.name for draft in drafts]
    if _plain(name) not in names:
        near = get_close_matches(_plain(name), names) or names
        raise UsageError(f"no patch {name!r} in the series", remedy=f"choose {' or '.join(near)}")
    return names.index(_plain(name))


def _require_free(drafts: list[_Draft], name: str) -> None:
    if name == _plain(OVERLAY):
        raise UsageError(f"{name} would be taken for the overlay", remedy="choose another subject")
    if any(draft.layer.name == name for draft in drafts):
        raise UsageError(
            f"{name} is in the series already", remedy="choose another subject, or `edit` that one"
        )


def _named(words: Words) -> str:
    name = file_name(words.subject)
    if name == ".patch":
        raise InvalidError(
            f"the subject {words.subject!r} gives no file name", remedy="write it in plain letters"
        )
    return name


def _plain(name: str) -> str:
    return name.removesuffix(".patch") + ".patch"
