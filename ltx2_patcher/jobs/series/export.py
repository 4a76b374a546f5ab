"""Write the commits of a patched tree back as the series, or the series as one mailbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, objects
from ltx2_patcher.boundaries.scratch import scratch
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import OVERLAY_MESSAGE, commits_of
from ltx2_patcher.jobs.series.history import kept_history
from ltx2_patcher.jobs.series.obtain import checkout_path, midnight
from ltx2_patcher.jobs.series.publication import (
    files_of,
    holding,
    publish,
    refuse_pending,
    steps_to,
)
from ltx2_patcher.jobs.series.working_tree import above_the_base
from ltx2_patcher.rules.series.blobs import blob_ids
from ltx2_patcher.rules.series.fit import apply_diff
from ltx2_patcher.rules.series.mailbox import file_name, join_mails, overlay_mail, split_mails
from ltx2_patcher.rules.series.message import parse_message
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.rules.series.patch_file import parse_patch
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.plan import check_symbols, patched, stages
from ltx2_patcher.rules.series.soundness import check_series
from ltx2_patcher.values.base import GROUPS, Base
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.series import FileStep, Lock, LockedPatch, Patch, Series


@dataclass(frozen=True, slots=True)
class Exported:
    """What export wrote, or with a dry run would write."""

    base: str
    patches: tuple[str, ...]
    changed: tuple[str, ...]  # files below the repository's root whose bytes are new
    removed: tuple[str, ...]
    finished: str | None  # a change that was cut off, and was finished first


@dataclass(frozen=True, slots=True)
class Checked:
    """A series that exporting gives back byte for byte, or one of which nothing here can tell."""

    base: str
    patches: int
    source: str | None  # where upstream's files were read; None: they are nowhere here


def export(store: Store, base: Base, tree: Path, *, dry_run: bool = False) -> Exported:
    """Turn the commits on top of the base into canonical patches and the overlay.

    Files that the base lacks belong to the overlay, as they are at the tip, which all bases have in
    common. A patch whose meaning did not change keeps its bytes; one that is another change than
    the shared file it was made of parts, into the base's own folder. Everything is checked before
    the first byte is written, and it happens wholly or not at all (jobs/series/publication.py).

    Raises: ConflictError where the tree has no commits on top of the base, edits not committed, or
    the series only up to some group; InvalidError where a commit is no canonical patch, the groups
    do not stack, or the result lacks what symbols.toml names; BusyError, OutsideError.
    """
    if dry_run:
        refuse_pending(store)
        series = _exportable(store, base, tree)
        return _exported(series, steps_to(store, series))
    with holding(store) as finished:
        series = _exportable(store, base, tree)
        made = steps_to(store, series)
        publish(store, f"an export of {base.name}", made)
    return _exported(series, made, finished)


def _exported(series: Series, made: Sequence[FileStep], finished: str | None = None) -> Exported:
    """What a publication of `series` changes."""
    return Exported(
        series.base,
        tuple(patch.name for patch in series.patches),
        tuple(step.path for step in made if step.after is not None),
        tuple(step.path for step in made if step.after is None),
        finished,
    )


def check_export(store: Store, base: Base) -> Checked:
    """Building the series' commits and exporting them gives patches/ back, byte for byte.

    Needs upstream's files: from the base's checkout in vendor/ or from the history there, whatever
    state those are in. No tree is looked at or changed.

    Raises: InvalidError where a file would come out another, or the overlay has a file that is
    upstream's own; ConflictError where the source is damaged.
    """
    series = store.series(base.name)
    source = _source(store, base)
    if source is None:
        return Checked(base.name, len(series.patches), None)
    texts = source.contents(series.lock.before.values())
    before = {path: texts[blob] for path, blob in series.lock.before.items()}
    made = stages(series, series.lock.groups[-1], before)
    drafts = commits_of(base, made)[1:]
    patches = tuple(
        parse_patch(patch.name, mail)
        for patch, mail in zip(series.patches, _mails(base, before, drafts), strict=True)
    )
    lock = make_lock(base, patches, series.overlay, before)
    again = Series(base.name, patches, series.overlay, series.symbols, lock)
    check_symbols(again, patched(again, before))
    for path, data in files_of(store, again).items():
        if disk.read(store.root / path) != data:
            raise InvalidError(
                f"{path} is not, byte for byte, what exporting it gives",
                remedy=f"remove that file, if it is there, and run `ltx2-patcher export "
                f"--base {base.name}`",
            )
    return Checked(base.name, len(patches), source.place.name)


def mailbox(store: Store, base: Base) -> bytes:
    """The whole series of a base, overlay first, as one mailbox for `git am`."""
    series = store.series(base.name)
    overlay = overlay_mail(OVERLAY_MESSAGE, objects.IDENTITY, midnight(base), series.overlay)
    return join_mails([overlay, *(patch.data for patch in series.patches)])


def write_mailbox(store: Store, base: Base, path: Path) -> None:
    """Write the mailbox to a plain file. Raises: ConflictError where another thing stands there."""
    disk.read(path)
    disk.replace(path.absolute(), mailbox(store, base))


def make_lock(
    base: Base,
    patches: tuple[Patch, ...],
    overlay: Mapping[str, bytes],
    before: Mapping[str, bytes],
) -> Lock:
    """The lock of a series on the contents `before` of the files it touches.

    Raises: InvalidError where the groups do not stand in stacking order, a subject stands twice, or
    a patch goes into the overlay; ConflictError where a patch does not fit.
    """
    order = [GROUPS.index(patch.group) for patch in patches]
    if order != sorted(order):
        raise InvalidError(
            "the groups of the commits do not stand in stacking order",
            remedy=f"reorder the commits: {', '.join(GROUPS)}",
        )
    if len({patch.name for patch in patches}) != len(patches):
        raise InvalidError("two commits have the same subject", remedy="reword one of them")
    now = dict(before)
    after: dict[str, dict[str, str]] = {}
    for group in GROUPS:
        for patch in (p for p in patches if p.group == group):
            now |= {diff.path: apply_diff(patch, diff, now[diff.path]) for diff in patch.diffs}
        if group == GROUPS[0] or any(p.group == group for p in patches):
            after[group] = blob_ids(now | dict(overlay))
    return Lock(
        base=base.name,
        commit=base.commit,
        patches={p.name: LockedPatch(hashlib.sha256(p.data).hexdigest(), p.group) for p in patches},
        before=blob_ids(before),
        after=after,
    )


def read_back(store: Store, base: Base, repository: git.Git, tip: str) -> Series:
    """The series that the commits from the base to `tip` are.

    Raises: as export.
    """
    start = base_commit(repository, base, tip)
    overlay = _overlay(repository, start, tip)
    drafts = drafts_of(repository, start, tip, overlay)
    touched = sorted({path for draft in drafts for path in draft.files})
    if not touched:
        raise ConflictError(
            f"{repository.tree} has no commits on top of {base.name}",
            remedy="apply the series there first",
        )
    _refuse_part(store, base, drafts)
    return render(store, base, repository.blobs(start, touched), drafts, overlay)


def render(
    store: Store,
    base: Base,
    before: Mapping[str, bytes],
    drafts: Sequence[objects.NewCommit],
    overlay: Mapping[str, bytes],
) -> Series:
    """Canonical patches of commits on the contents `before`; sound, with symbols and lock.

    A patch that says the same as its file in patches/ keeps that file's bytes.

    Raises: InvalidError where a commit is no canonical patch, changes nothing, or the whole is not
    sound.
    """
    patches = canonical(store, base, before, drafts, kept=base.name)
    held = {diff.path for patch in patches for diff in patch.diffs}
    before = {path: content for path, content in before.items() if path in held}
    overlay = of_groups(overlay, {patch.group for patch in patches})
    lock = make_lock(base, patches, overlay, before)
    series = Series(base.name, patches, overlay, store.symbols(base.name), lock)
    check_symbols(series, patched(series, before))
    check_series(series)
    return series


def canonical(
    store: Store,
    base: Base,
    before: Mapping[str, bytes],
    drafts: Sequence[objects.NewCommit],
    *,
    kept: str,
) -> tuple[Patch, ...]:
    """The commits on the contents `before` as patches; one that says the same as the patch of that
    name of the base `kept` has its bytes.

    Raises: InvalidError where a commit is no canonical patch, or changes nothing.
    """
    try:
        lock = store.held(kept)
        known = {name: store.patch(lock, name) for name in lock.patches}
    except InvalidError:
        known = {}  # what is torn is replaced by what is fresh
    return tuple(_kept(known, mail) for mail in _mails(base, before, drafts))


def _mails(
    base: Base, before: Mapping[str, bytes], drafts: Sequence[objects.NewCommit]
) -> list[bytes]:
    """The commits as git writes them, in a repository that no setting or attribute reaches."""
    ground = objects.NewCommit(b"base\n", objects.IDENTITY, midnight(base), before)
    with scratch() as repository:
        (start,) = repository.build(None, [ground])
        tip = repository.build(start, drafts)[-1]
        mails = split_mails(repository.format_patches(start, tip))
    if len(mails) != len(drafts):
        raise InvalidError(
            "a commit of the series changes nothing",
            remedy="fold it into another one, or drop it",
        )
    return mails


def _exportable(store: Store, base: Base, tree: Path) -> Series:
    repository = git.Git(tree)
    repository.refuse_if_busy()
    head = repository.head()
    if dirty := repository.dirty():
        raise ConflictError(
            f"{tree} has edits that are not committed: {', '.join(dirty[:5])}",
            remedy="commit them (`git commit --amend` into the patch they belong to) and export, "
            "or take them in with `ltx2-patcher edit NAME` or `new NAME`",
        )
    return read_back(store, base, repository, head.commit)


def _refuse_part(store: Store, base: Base, drafts: Sequence[objects.NewCommit]) -> None:
    """Raises: ConflictError where the commits are the series only up to some group."""
    try:
        groups = store.held(base.name).groups
    except InvalidError:
        return  # what lies there is torn or not there yet: nothing to lose
    here = parse_message("the last commit", drafts[-1].message.decode("utf-8", "replace")).group
    if left := groups[groups.index(here) + 1 :] if here in groups else ():
        raise ConflictError(
            f"the tree holds no patch of {', '.join(left)}: exporting it would drop them all",
            remedy="apply the whole series first; `ltx2-patcher drop NAME` takes out a patch",
        )


def _source(store: Store, base: Base) -> objects.Objects | None:
    """A repository in vendor/ that has the base's files."""
    checkout = checkout_path(store, base)
    return objects.Objects(checkout) if (checkout / ".git").exists() else kept_history(store)


def base_commit(repository: git.Git, base: Base, tip: str) -> str:
    """The commit of upstream, from git or its wheels, that `tip` stands on.

    Raises: ConflictError where it stands on none.
    """
    history = repository.history(tip)
    for commit in history:
        if commit.id == base.commit or (commit.parent is None and commit.ours):
            return commit.id
    if history[-1].ours:
        raise above_the_base(repository)
    raise ConflictError(
        f"{repository.tree} does not stand on {base.name}",
        remedy=f"switch to a branch on top of upstream's commit {base.commit[:12]}",
    )


def _overlay(repository: git.Git, start: str, tip: str) -> dict[str, bytes]:
    """The files that the base lacks, as at the tip."""
    changed = repository.changed(start, tip)
    there = repository.entries(start, changed)
    kept = repository.entries(tip, changed)
    for path, entry in kept.items():
        if not is_source(path) or entry.mode != objects.PLAIN:
            raise InvalidError(
                f"{path} (mode {entry.mode}) can't be in a series: it holds plain files in "
                "packages/*/src",
                remedy="take it out of the commit, or make it a plain file there",
            )
    return repository.blobs(tip, [path for path in kept if path not in there])


def drafts_of(
    repository: objects.Objects, start: str, tip: str, overlay: Mapping[str, bytes]
) -> list[objects.NewCommit]:
    """The commits from `start` to `tip` without the overlay's files; empty ones are left out.

    Raises: InvalidError where a commit removes a file.
    """
    chain = repository.commits_between(start, tip)
    changes = repository.changes([start, *chain])
    # The base lacks the files of an earlier overlay that a later commit took back.
    touched = {path for paths in changes.values() for path in paths}
    patched = repository.entries(start, touched - overlay.keys()).keys()
    wanted = {}
    for commit, paths in changes.items():
        ours = {path: there for path, there in paths.items() if path in patched}
        if gone := sorted(path for path, there in ours.items() if not there):
            raise InvalidError(
                f"commit {commit[:10]} removes {', '.join(gone)}",
                remedy="patches change files only; undo the removal",
            )
        if ours:
            wanted[commit] = list(ours)
    words, files = repository.words(list(wanted)), repository.blobs_of(wanted)
    return [objects.NewCommit(*words[commit], files[commit]) for commit in wanted]


def _kept(known: Mapping[str, bytes], mail: bytes) -> Patch:
    """The patch in a mail; with the bytes of the `known` one of its name that says the same."""
    title = mail.partition(b"\nSubject: ")[2].partition(b"\n")[0].decode("ascii", "replace")
    patch = parse_patch(f'the commit "{title}"', mail)
    name = file_name(patch.subject)
    if name == ".patch":
        raise InvalidError(
            f"the commit {patch.subject!r} gives no file name", remedy="reword its subject"
        )
    if name in known:
        try:
            old = parse_patch(name, known[name])
        except InvalidError:
            old = None  # a torn file is replaced by the fresh one
        if old and _meaning(old) == _meaning(patch):
            return old
    return parse_patch(name, mail)


def _meaning(patch: Patch) -> tuple[object, ...]:
    ids = [(diff.path, diff.before, diff.after) for diff in patch.diffs]
    return patch.subject, patch.body, patch.author, patch.date, ids
