"""The change of a shared patch, made on every other base that shares it; no checkout is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import NewCommit, Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.drafts import folded, reworded_in
from ltx2_patcher.jobs.series.edited_tree import EditedTree
from ltx2_patcher.jobs.series.export import render
from ltx2_patcher.jobs.series.history import kept_history
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import merge
from ltx2_patcher.rules.series.plan import patched
from ltx2_patcher.rules.series.shared_patch import lines_on
from ltx2_patcher.rules.series.stack import Layer
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, PatcherError
from ltx2_patcher.values.series import Edit, Series


def edited_elsewhere(store: Store, stand: EditedTree, name: str) -> tuple[Series, ...]:
    """The series of the other bases that share the patch, with the edits of the tree in it.

    Each edit goes where three-way merging puts it, between this tree and what the series makes of
    the other base.

    Raises: ConflictError where one can't be made there, with the base and what is in the way.
    """
    edits = stand.edits.edits
    here = patched(stand.series, stand.base)

    def commits(series: Series, base: Mapping[str, bytes]) -> list[NewCommit]:
        there = patched(series, base)
        drift = line_diffs([(here[path], there[path]) for path in edits])
        moved = {
            path: _moved(path, here[path], edits[path], theirs)
            for path, theirs in zip(edits, drift, strict=True)
        }
        return folded(base, series, name, Layer(stand.edits.name, moved))

    return _elsewhere(store, stand, name, commits, edits, stand.overlay)


def reworded_elsewhere(
    store: Store, stand: EditedTree, name: str, message: str
) -> tuple[Series, ...]:
    """The series of the other bases that share the patch, in which it says `message`.

    Raises: as edited_elsewhere.
    """

    def commits(series: Series, base: Mapping[str, bytes]) -> list[NewCommit]:
        return reworded_in(base, series, name, message)

    return _elsewhere(store, stand, name, commits, (), stand.series.overlay)


def require_alike(series: Series, elsewhere: Sequence[Series], name: str) -> None:
    """The patch `name` is the same change in all of them.

    Raises: ConflictError where it is not, with the base.
    """
    mails = {
        one.base: p.data for one in (series, *elsewhere) for p in one.patches if p.name == name
    }
    for other in elsewhere:
        if lines_on(mails[series.base], mails[other.base]) is None:
            raise _apart(name, other.base, "it would take or put other lines there")


def _elsewhere(
    store: Store,
    stand: EditedTree,
    name: str,
    commits: Callable[[Series, Mapping[str, bytes]], list[NewCommit]],
    edited: Iterable[str],
    overlay: Mapping[str, bytes],
) -> tuple[Series, ...]:
    made = []
    for base in _sharers(store, stand.series, name):
        try:
            series = store.series(base.name)
            contents = _contents(store, stand.repository, base, series, edited)
            made.append(render(store, base, contents, commits(series, contents), overlay))
        except PatcherError as error:
            raise _apart(name, base.name, str(error)) from error
    return tuple(made)


def _sharers(store: Store, series: Series, name: str) -> list[Base]:
    """The other bases whose patch `name` is made of the same shared file."""
    shared = series.lock.patches[name].shared
    if shared is None:
        return []
    others = [
        base
        for base in store.bases()
        if base.name != series.base and (store.patches / base.name).exists()
    ]
    locked = [(base, store.held(base.name).patches.get(name)) for base in others]
    return [b for b, p in locked if p and p.shared and p.shared.form == shared.form]


def _contents(
    store: Store, tree: Objects, base: Base, series: Series, edited: Iterable[str]
) -> dict[str, bytes]:
    """Upstream's files of a base that its series or an edit touches, from what is at hand."""
    checkout, history = checkout_path(store, base), kept_history(store)
    sources = [tree, *([Objects(checkout)] if (checkout / ".git").exists() else [])]
    sources += [history] if history else []
    ids = dict(series.lock.before)
    for source in sources:
        if new := [path for path in edited if path not in ids and source.resolve(base.commit)]:
            ids |= {path: entry.blob for path, entry in source.entries(base.commit, new).items()}
    texts: dict[str, bytes] = {}
    for source in sources:
        left = sorted(set(ids.values()) - texts.keys())
        lacking = set(source.lacking(left))
        texts |= source.contents(blob for blob in left if blob not in lacking)
    absent = [path for path in (*ids, *edited) if ids.get(path) not in texts]
    if absent:
        raise ConflictError(
            f"its {absent[0]} is not at hand",
            remedy="bring upstream's history with `ltx2-patcher outdated`",
        )
    return {path: texts[blob] for path, blob in ids.items()}


def _moved(
    path: str, here: bytes, edits: tuple[Edit, ...], drift: tuple[Edit, ...]
) -> tuple[Edit, ...]:
    merged = merge(split_lines(here), edits, drift)
    if merged.clashes:
        clash = merged.clashes[0]
        raise ConflictError(
            f"{path} is otherwise there at line {clash.start + 1}", remedy="part the patch"
        )
    return merged.ours


def _apart(name: str, base: str, why: str) -> ConflictError:
    return ConflictError(
        f"{name} is shared, and can't change on {base} as it does here: {why}",
        remedy="settle that (`ltx2-patcher outdated` brings upstream's files), or give this base a "
        f"patch of its own with `ltx2-patcher edit {name.removesuffix('.patch')} --part`",
    )
