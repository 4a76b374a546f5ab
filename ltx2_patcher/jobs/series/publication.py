"""Change patches/ in one step: whoever is cut off has done nothing yet, or is finished by the next.

One journal (boundaries/journal.py) holds every file below the repository's root that a change
touches, and where a patched tree goes with it, that tree's journal as well. The write of this
journal is the one moment at which the change happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ltx2_patcher.boundaries import disk, git, journal
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.working_tree import finish as finish_tree
from ltx2_patcher.rules.series.blobs import blob_id, blob_ids
from ltx2_patcher.rules.series.lock_file import render_base_lock, render_overlay_lock
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.rules.series.series_file import SHARED, entries, parse_series, render_series
from ltx2_patcher.rules.series.shared_patch import placed
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


def steps_to(store: Store, *every: Series, relaid: bool = False) -> tuple[FileStep, ...]:
    """What makes patches/ hold these series of different bases, and the overlay that they have.

    Paths are relative to the repository's root; what stays as it is is left out. The lock of a
    base follows its patches, and its series file comes last. `relaid` is as in `files_of`.

    Raises: InvalidError where another base can't take the overlay, or can't be read and would have
    to.
    """
    overlay = _whole_overlay(store, every)
    _require_taken(store, every, overlay)
    files: dict[str, bytes | None] = {
        f"patches/overlay/{path}": None for path in store.overlay() if path not in overlay
    }
    files |= {f"patches/overlay/{path}": data for path, data in overlay.items()}
    return steps(store, files | files_of(store, *every, relaid=relaid))


def _whole_overlay(store: Store, every: Sequence[Series]) -> dict[str, bytes]:
    """The overlay that these series have, and what lies in patches/ of groups that none has."""
    groups = {group for series in every for group in series.lock.groups}
    there = store.overlay()
    whole = {path: there[path] for path in there.keys() - of_groups(there, groups).keys()}
    for series in every:
        whole |= series.overlay
    return whole


def files_of(store: Store, *every: Series, relaid: bool = False) -> dict[str, bytes | None]:
    """The shared files that these series are made of, what else their bases' folders hold but for
    symbols.toml, and the overlay's lock; None for a file that goes.

    A patch that equals a shared file is made of it. With `relaid`, for which all series must be
    given, every two that are alike are shared, and the shared files are named anew.
    """
    order = {base.name: number for number, base in enumerate(store.bases())}
    every = tuple(sorted(every, key=lambda series: order.get(series.base, len(order))))
    forms = store.shared()
    in_use = _in_use(store, forms.keys(), {series.base for series in every})
    used, places = placed(every, {} if relaid else forms, in_use)
    overlay = render_overlay_lock(blob_ids(_whole_overlay(store, every)))
    files: dict[str, bytes | None] = {"patches/overlay.lock.json": overlay}
    files |= dict.fromkeys(_shared_path(*form) for form in forms.keys() - in_use)
    files |= {_shared_path(*form): data for form, data in used.items()}
    for series in every:
        base = series.base
        patches = {
            name: replace(patch, shared=places.get((base, name)))
            for name, patch in series.lock.patches.items()
        }
        lock = replace(series.lock, patches=patches)
        own = {
            f"patches/{base}/{p.name}": p.data for p in series.patches if not patches[p.name].shared
        }
        there = sorted((store.patches / base).glob("*.patch"))
        files |= {f"patches/{base}/{old.name}": None for old in there}
        files |= own
        files[f"patches/{base}/lock.json"] = render_base_lock(lock)
        files[f"patches/{base}/series"] = series_bytes(store, base, entries(lock))
    return files


def _shared_path(form: str, name: str) -> str:
    return f"patches/{SHARED}/{form}/{name}"


def _in_use(
    store: Store, forms: AbstractSet[tuple[str, str]], but: AbstractSet[str]
) -> set[tuple[str, str]]:
    """The shared files that bases other than `but` name; all, where one of these can't be read."""
    named = set()
    for base in store.bases():
        data = disk.read(store.patches / base.name / "series")
        if base.name in but or data is None:
            continue
        try:
            named |= set(parse_series(data, "series"))
        except InvalidError:
            return set(forms)
    return {(form, name) for form, name in forms if f"{SHARED}/{form}/{name}" in named}


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
    """A series file with these entries: the one that is there, where it has them (and comments)."""
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


def _require_taken(store: Store, every: Sequence[Series], overlay: Mapping[str, bytes]) -> None:
    """Raises: InvalidError where a base that is none of these series' can't take the overlay."""
    if dict(overlay) == store.overlay():
        return
    there = {series.base for series in every}
    for base in store.bases():
        if base.name not in there and (store.patches / base.name).exists():
            lock = store.held(base.name)
            check_overlay(lock, store.symbols(base.name), of_groups(overlay, lock.groups))


def check_overlay(
    lock: Lock, symbols: Mapping[str, Mapping[str, tuple[str, ...]]], overlay: Mapping[str, bytes]
) -> None:
    """Raises: InvalidError where the overlay takes a path of the base's, or lacks what it names."""
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
