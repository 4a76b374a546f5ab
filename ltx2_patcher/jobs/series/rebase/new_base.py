"""Make a base of the commits of a series on another upstream revision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.export import canonical, drafts_of, make_lock
from ltx2_patcher.jobs.series.publication import files_of, publish, steps
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.rules.series.plan import patched
from ltx2_patcher.rules.series.soundness import check_series
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.rules.series.symbols_file import parse_symbols
from ltx2_patcher.rules.series.upstream_file import with_base
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import Series


@dataclass(frozen=True, slots=True)
class Draft:
    """A series that is whole but for `lacking`; nothing of it is written yet."""

    base: Base
    series: Series
    symbols: bytes  # the text of symbols.toml
    lacking: tuple[str, ...]  # what symbols.toml names and is not there, a sentence each


@dataclass(frozen=True, slots=True)
class NewBase:
    """A base that was written, as it lies there; it was checked."""

    base: str
    commit: str
    patches: tuple[str, ...]


def compose(
    store: Store, history: Objects, source: Base, base: Base, tip: str, symbols: bytes
) -> Draft:
    """The series that the commits from `base` to `tip` are, patches of `source` as they stand.

    Raises: ConflictError where there is no commit; InvalidError where a commit is no canonical
    patch, or a patched file does not parse.
    """
    drafts = drafts_of(history, base.commit, tip, {})
    if not drafts:
        raise ConflictError(
            f"no patch is left for {base.name}",
            remedy="end it with `ltx2-patcher rebase --abort`: a base without a patch is upstream",
        )
    before = history.blobs(base.commit, sorted({path for one in drafts for path in one.files}))
    patches = canonical(store, base, before, drafts, kept=source.name)
    overlay = of_groups(store.overlay(), {patch.group for patch in patches})
    lock = make_lock(base, patches, overlay, before)
    wanted = parse_symbols(symbols, "symbols.toml")
    series = Series(base.name, patches, overlay, wanted, lock)
    return Draft(base, series, symbols, tuple(_lacking(series, patched(series, before))))


def write(store: Store, draft: Draft, source: Base) -> NewBase:
    """The base in patches/ and its pin, in one step; patches/ is held. No other file changes.

    Raises: InvalidError where the series is not sound, ConflictError where something stands in its
    place, both before anything is written; OutsideError, as `publish`.
    """
    name, series = draft.base.name, draft.series
    check_series(series)
    folder = store.patches / name
    if folder.exists():
        raise ConflictError(f"{folder} is there already", remedy="move it away, and go on")
    files: dict[str, bytes | None] = {f"patches/{name}/symbols.toml": draft.symbols}
    files |= files_of(store, series)
    pins = store.pins_file.relative_to(store.root).as_posix()
    files[pins] = with_base(store.pins_text(), draft.base, source.name)
    publish(store, f"the new base {name}", steps(store, files))
    return written(store, name)


def written(store: Store, name: str) -> NewBase:
    """The base as it lies there. Raises: InvalidError where it is not sound."""
    series = store.series(name)
    check_series(series)
    return NewBase(name, series.lock.commit, tuple(patch.name for patch in series.patches))


def _lacking(series: Series, contents: Mapping[str, bytes]) -> Iterator[str]:
    for path in contents:
        if path.endswith(".py"):
            missing(path, contents[path], ())  # parses
    for group, files in series.symbols.items():
        if group not in series.lock.groups:
            yield f"[{group}]: no patch of that group is left"
        for path, symbols in files.items():
            if path not in contents:
                yield f"{path}: not touched by the series on this revision"
            elif gone := missing(path, contents[path], symbols):
                yield f"{path}: {', '.join(gone)}"
    if not series.symbols:
        yield "it names nothing"
