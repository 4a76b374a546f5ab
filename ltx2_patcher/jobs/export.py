"""Write the commits of a patched tree back as the series, or the series as one mailbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.apply import OVERLAY_MESSAGE
from ltx2_patcher.jobs.obtain import midnight
from ltx2_patcher.rules.blobs import blob_id
from ltx2_patcher.rules.fit import apply_diff
from ltx2_patcher.rules.lockfile import render_lock
from ltx2_patcher.rules.mailbox import file_name, join_mails, overlay_mail, split_mails
from ltx2_patcher.rules.patchfile import parse_patch
from ltx2_patcher.rules.paths import is_source
from ltx2_patcher.rules.plan import check_symbols, patched
from ltx2_patcher.rules.seriesfile import render_series
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.model import GROUPS, Base, Lock, LockedPatch, Patch, Series


@dataclass(frozen=True, slots=True)
class Exported:
    """What export wrote, or with a dry run would write."""

    base: str
    patches: tuple[str, ...]
    changed: tuple[str, ...]  # files below patches/ whose bytes are new
    removed: tuple[str, ...]


def export(store: Store, base: Base, tree: Path, *, dry_run: bool = False) -> Exported:
    """Turn the commits on top of the base into canonical patches and the overlay.

    Files that the base lacks belong to the overlay, as they are at the tip. A patch whose meaning
    did not change keeps its bytes. Patches are written first, then the lock, the series file last.

    Raises: ConflictError where the tree has no commits on top of the base, or edits not committed;
    InvalidError where a commit is no canonical patch or the groups do not stack.
    """
    repository = git.Git(tree)
    repository.refuse_if_busy()
    head = repository.head()
    start = _base_commit(repository, base, head.commit)
    if dirty := repository.dirty():
        raise ConflictError(
            f"{tree} has edits that are not committed: {', '.join(dirty[:5])}",
            remedy="commit them (`git commit --amend` into the patch they belong to), then export",
        )
    overlay, before = _overlay(repository, start, head.commit)
    tip = _without(repository, start, head.commit, overlay)
    mails = split_mails(repository.format_patches(start, tip))
    if not mails:
        raise ConflictError(
            f"{tree} has no commits on top of {base.name}", remedy="apply the series there first"
        )
    patches = tuple(kept_patch(store, base.name, mail) for mail in mails)
    lock = make_lock(base, patches, overlay, before)
    series = Series(base.name, patches, overlay, store.symbols(base.name), lock)
    check_symbols(series, patched(series, before))
    return publish(store, series, dry_run=dry_run)


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
            after[group] = {path: blob_id(data) for path, data in (now | dict(overlay)).items()}
    return Lock(
        base=base.name,
        commit=base.commit,
        patches={p.name: LockedPatch(hashlib.sha256(p.data).hexdigest(), p.group) for p in patches},
        before={path: blob_id(data) for path, data in before.items()},
        after=after,
    )


def _base_commit(repository: git.Git, base: Base, tip: str) -> str:
    for commit in repository.history(tip):
        if commit.id == base.commit or (commit.parent is None and commit.ours):
            return commit.id
    raise ConflictError(
        f"{repository.tree} does not stand on {base.name}",
        remedy=f"switch to a branch on top of upstream's commit {base.commit[:12]}",
    )


def _overlay(
    repository: git.Git, start: str, tip: str
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files that the base lacks, as at the tip, and the base's content of the others."""
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
    added = [path for path in kept if path not in there]
    return repository.blobs(tip, added), repository.blobs(start, there)


def _without(repository: git.Git, start: str, tip: str, overlay: Mapping[str, bytes]) -> str:
    """The tip of the same commits without the overlay's files; a commit left empty is dropped."""
    commits = []
    chain = repository.commits_between(start, tip)
    for parent, commit in zip([start, *chain], chain, strict=False):
        paths = [path for path in repository.changed(parent, commit) if path not in overlay]
        present = [path for path in paths if path in repository.entries(commit, paths)]
        if gone := sorted(set(paths) - set(present) - _never_in(repository, start, paths)):
            raise InvalidError(
                f"commit {commit[:10]} removes {', '.join(gone)}",
                remedy="patches change files only; undo the removal",
            )
        if present:
            message, author, date = repository.words(commit)
            files = repository.blobs(commit, present)
            commits.append(objects.NewCommit(message, author, date, files))
    return repository.build(start, commits)[-1] if commits else start


def _never_in(repository: git.Git, start: str, paths: list[str]) -> set[str]:
    """Paths the base does not have: files of an earlier overlay that a later commit took back."""
    return set(paths) - repository.entries(start, paths).keys()


def kept_patch(store: Store, base: str, mail: bytes) -> Patch:
    """The patch in a mail; with the bytes of `base`'s file where that says the same."""
    title = mail.partition(b"\nSubject: ")[2].partition(b"\n")[0].decode("ascii", "replace")
    patch = parse_patch(f'the commit "{title}"', mail)
    name = file_name(patch.subject)
    if name == ".patch":
        raise InvalidError(
            f"the commit {patch.subject!r} gives no file name", remedy="reword its subject"
        )
    old = disk.read(store.patches / base / name)
    if old is not None:
        try:
            known = parse_patch(name, old)
        except InvalidError:
            known = None  # a torn file is replaced by the fresh one
        if known and _meaning(known) == _meaning(patch):
            return known
    return parse_patch(name, mail)


def _meaning(patch: Patch) -> tuple[object, ...]:
    ids = [(diff.path, diff.before, diff.after) for diff in patch.diffs]
    return patch.subject, patch.body, patch.author, patch.date, ids


def publish(
    store: Store, series: Series, *, symbols: bytes | None = None, dry_run: bool = False
) -> Exported:
    """Make patches/ hold the series: patches and overlay first, then the lock, `series` last.

    `symbols` is the text of symbols.toml, for a base that has none yet.
    """
    folder = f"{series.base}"
    files = {f"overlay/{path}": data for path, data in series.overlay.items()}
    files |= {f"{folder}/{patch.name}": patch.data for patch in series.patches}
    if symbols is not None:
        files[f"{folder}/symbols.toml"] = symbols
    files[f"{folder}/lock.json"] = render_lock(series.lock)
    files[f"{folder}/series"] = render_series(tuple(patch.name for patch in series.patches))
    changed = tuple(p for p, data in files.items() if disk.read(store.patches / p) != data)
    kept = {patch.name for patch in series.patches}
    removed = [f"overlay/{path}" for path in store.overlay() if path not in series.overlay]
    removed += [
        f"{folder}/{path.name}"
        for path in sorted((store.patches / folder).glob("*.patch"))
        if path.name not in kept
    ]
    if not dry_run:
        for path in changed:
            disk.replace(store.patches / path, files[path])
        for path in removed:
            disk.remove(store.patches / path, below=store.patches)
    return Exported(series.base, tuple(p.name for p in series.patches), changed, tuple(removed))
