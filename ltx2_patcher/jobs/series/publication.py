"""Change patches/ in one step: whoever is cut off has done nothing yet, or is finished by the next.

One journal (boundaries/journal.py) holds every file below the repository's root that a change
touches, and where a patched tree goes with it, that tree's journal as well. The write of this
journal is the one moment at which the change happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, journal
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.working_tree import finish as finish_tree
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.lock_file import render_lock
from ltx2_patcher.rules.series.series_file import parse_series, render_series
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.series import FileStep, Lock, Series


@dataclass(frozen=True, slots=True)
class TreeMove:
    """What a patched tree does along with patches/: its files, and what its branch moves to."""

    repository: git.Git
    steps: tuple[FileStep, ...] = field(repr=False)
    move: Mapping[str, str]  # as jobs/tree.py publishes it


@contextmanager
def holding(store: Store) -> Iterator[str | None]:
    """Hold patches/ against other runs, having finished one that was cut off; yields which.

    Raises: BusyError where another run holds it for long; ConflictError where files were edited
    since the run that was cut off.
    """
    with disk.locked(store.state / "lock"):
        yield _finish_pending(store)


def refuse_pending(store: Store) -> None:
    """For a dry run, which may finish nothing. Raises: ConflictError where a run was cut off."""
    if journal.pending(store.state):
        raise ConflictError(
            f"a change of patches/ was cut off ({journal.read(store.state).move['what']})",
            remedy="finish it with `ltx2-patcher export`, without --dry-run",
        )


def steps_to(store: Store, series: Series) -> tuple[FileStep, ...]:
    """What makes patches/ hold `series`, and the locks of all other bases its overlay.

    Paths are relative to the repository's root; what stays as it is is left out. The lock of a
    base follows its patches, and its series file comes last.

    Raises: InvalidError where another base can't take the overlay, or can't be read and would have
    to.
    """
    files: dict[str, bytes | None] = {
        f"patches/overlay/{path}": None for path in store.overlay() if path not in series.overlay
    }
    files |= {f"patches/overlay/{path}": data for path, data in series.overlay.items()}
    files |= _other_locks(store, series)
    for old in sorted((store.patches / series.base).glob("*.patch")):
        files[f"patches/{series.base}/{old.name}"] = None
    return steps(store, files | files_of(store, series))


def files_of(store: Store, series: Series) -> dict[str, bytes]:
    """What the folder of the series' base holds but for symbols.toml, `series` last."""
    names = tuple(patch.name for patch in series.patches)
    files = {patch.name: patch.data for patch in series.patches}
    files["lock.json"] = render_lock(series.lock)
    files["series"] = series_bytes(store, series.base, names)
    return {f"patches/{series.base}/{name}": data for name, data in files.items()}


def steps(store: Store, files: Mapping[str, bytes | None]) -> tuple[FileStep, ...]:
    """What gives files below the repository's root these contents, in order; None removes."""
    made = []
    for path, data in files.items():
        now = disk.read(store.root / path)
        if now != data:
            ids = [None if content is None else blob_id(content) for content in (now, data)]
            made.append(FileStep(path, ids[0], ids[1], data))
    return tuple(made)


def series_bytes(store: Store, base: str, names: tuple[str, ...]) -> bytes:
    """A series file with these names: the one that is there, where it has them (and comments)."""
    old = disk.read(store.patches / base / "series")
    try:
        if old is not None and parse_series(old, "series") == names:
            return old
    except InvalidError:
        pass  # a torn file is replaced
    return render_series(names)


def publish(
    store: Store, what: str, made: Sequence[FileStep], move: TreeMove | None = None
) -> None:
    """Bring the files and the tree where they shall be; patches/ and the tree are held.

    Raises: OutsideError or ConflictError before anything is touched where a file can't be
    replaced; OutsideError where the disk fails half-way: the next export finishes then.
    """
    if not made and move is None:
        return
    disk.require_replaceable(store.root, [step.path for step in made])
    goes_with = {}
    if move is not None:
        record = journal.Journal(move.steps, move.move)
        goes_with = {"tree": str(move.repository.tree), "journal": journal.render(record)}
    journal.write(store.state, made, {"what": what, **goes_with})
    _carry_out(store, move.repository if move else None)


def _finish_pending(store: Store) -> str | None:
    if not journal.pending(store.state):
        return None
    move = journal.read(store.state).move
    tree = Path(move["tree"]) if "tree" in move else None
    if tree is None or not (tree / ".git").exists():
        _carry_out(store, None)
    else:
        repository = git.Git(tree)
        with disk.locked(repository.state / "lock"):
            repository.refuse_if_busy()
            _carry_out(store, repository)
    return move["what"]


def _carry_out(store: Store, repository: git.Git | None) -> None:
    record = journal.read(store.state)
    try:
        journal.carry_out(record, store.root, durable=True)
    except ConflictError as error:
        raise ConflictError(
            f"{record.move['what']}: {error}",
            remedy="put those files back with `git checkout -- patches` and run this again; "
            f"or give that change up: remove {store.state}, then `git checkout -- patches`",
        ) from error
    if repository is not None:
        tree_record = journal.parse(record.move["journal"])
        # A branch that has moved shows that the tree's own journal was there: that one finishes it,
        # or it is done, and since then the tree is the user's again.
        if repository.resolve(tree_record.move["branch"]) == tree_record.move["old"]:
            journal.write(repository.state, tree_record.steps, tree_record.move)
        if journal.pending(repository.state):
            finish_tree(repository)
    journal.forget(store.state)


def _other_locks(store: Store, series: Series) -> dict[str, bytes | None]:
    """The locks of all other bases, renewed for the overlay."""
    changes = dict(series.overlay) != store.overlay()
    renewed: dict[str, bytes | None] = {}
    for base in store.bases():
        if base.name == series.base or not (store.patches / base.name).exists():
            continue
        try:
            lock = store.held(base.name)
            symbols = store.symbols(base.name)
        except InvalidError:
            if changes:
                raise
            continue  # not ours to renew, and lint says what is wrong there
        _check_overlay(lock, symbols, series.overlay)
        renewed[f"patches/{base.name}/lock.json"] = render_lock(_with(lock, series.overlay))
    return renewed


def _with(lock: Lock, overlay: Mapping[str, bytes]) -> Lock:
    laid = {path: blob_id(data) for path, data in overlay.items()}
    after = {
        group: {path: blobs[path] for path in lock.before} | laid
        for group, blobs in lock.after.items()
    }
    return replace(lock, after=after)


def _check_overlay(
    lock: Lock, symbols: Mapping[str, Mapping[str, tuple[str, ...]]], overlay: Mapping[str, bytes]
) -> None:
    if taken := sorted(lock.before.keys() & overlay.keys()):
        raise InvalidError(
            f"{taken[0]} can't be in the overlay: it is upstream's own file in {lock.base}",
            remedy="give the file a name that no base has",
        )
    for files in symbols.values():
        for path, wanted in files.items():
            if path in lock.before:
                continue
            lacking = missing(path, overlay[path], wanted) if path in overlay else wanted
            if lacking:
                raise InvalidError(
                    f"{path} lacks {', '.join(lacking)}, which {lock.base} calls for",
                    remedy=f"keep them in the overlay, or correct patches/{lock.base}/symbols.toml",
                )
