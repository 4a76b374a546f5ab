"""Make a base of the commits of a series on another upstream revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.export import kept_patch, make_lock, publish
from ltx2_patcher.jobs.lint import check_series
from ltx2_patcher.rules.mailbox import split_mails
from ltx2_patcher.rules.plan import patched
from ltx2_patcher.rules.symbols import missing
from ltx2_patcher.rules.symbolsfile import parse_symbols
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.model import Base, Series


@dataclass(frozen=True, slots=True)
class Draft:
    """A series that is whole but for `lacking`; nothing of it is written yet."""

    base: Base
    series: Series
    symbols: bytes  # the text of symbols.toml
    lacking: tuple[str, ...]  # what symbols.toml names and is not there, a sentence each


@dataclass(frozen=True, slots=True)
class NewBase:
    """A base that was written, and checked as it lies there."""

    base: str
    commit: str
    patches: tuple[str, ...]
    changed: tuple[str, ...]  # files below patches/


def compose(
    store: Store, history: Objects, source: Base, base: Base, tip: str, symbols: bytes
) -> Draft:
    """The series that the commits from `base` to `tip` are, patches of `source` as they stand.

    Raises: ConflictError where there is no commit; InvalidError where a commit is no canonical
    patch, or a patched file does not parse.
    """
    mails = split_mails(history.format_patches(base.commit, tip))
    if not mails:
        raise ConflictError(
            f"no patch is left for {base.name}",
            remedy="end it with `ltx2-patcher rebase --abort`: a base without a patch is upstream",
        )
    patches = tuple(kept_patch(store, source.name, mail) for mail in mails)
    paths = sorted({diff.path for patch in patches for diff in patch.diffs})
    overlay, before = store.overlay(), history.blobs(base.commit, paths)
    lock = make_lock(base, patches, overlay, before)
    wanted = parse_symbols(symbols, "symbols.toml")
    series = Series(base.name, patches, overlay, wanted, lock)
    return Draft(base, series, symbols, _lacking(series, patched(series, before)))


def write(store: Store, draft: Draft, source: Base) -> NewBase:
    """The base in patches/, its pin last; what lies there already is left as it is.

    Raises: InvalidError where the series is not sound, before anything is written, or is not what
    was written; OutsideError where it can't be written.
    """
    check_series(draft.series)
    done = publish(store, draft.series, symbols=draft.symbols)
    if draft.base.name not in {base.name for base in store.bases()}:
        store.pin(draft.base, source.name)
    written = store.series(draft.base.name)
    check_series(written)
    names = tuple(patch.name for patch in written.patches)
    return NewBase(draft.base.name, draft.base.commit, names, done.changed)


def _lacking(series: Series, contents: Mapping[str, bytes]) -> tuple[str, ...]:
    sentences = []
    for path in contents:
        if path.endswith(".py"):
            missing(path, contents[path], ())  # parses
    for group, files in series.symbols.items():
        if group not in series.lock.groups:
            sentences.append(f"[{group}]: no patch of that group is left")
        for path, symbols in files.items():
            if path not in contents:
                sentences.append(f"{path}: not touched by the series on this revision")
            elif gone := missing(path, contents[path], symbols):
                sentences.append(f"{path}: {', '.join(gone)}")
    if not series.symbols:
        sentences.append("it names nothing")
    return tuple(sentences)
