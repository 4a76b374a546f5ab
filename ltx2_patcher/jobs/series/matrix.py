"""Every base's series on every revision of upstream, in a few processes and without a checkout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Literal

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import Objects, Revision
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.drift import Laid, first_break, lay, nearest, reasons, supporting
from ltx2_patcher.rules.series.supported_file import SupportedRevision, render_supported
from ltx2_patcher.rules.series.three_way import Breach
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.series import Edit, Patch, Series

_SPAN = ".."
_WHOLE = ("main",)
"""The branch that upstream's revisions stand on."""

Side = Literal["newer", "older"]


@dataclass(frozen=True, slots=True)
class Row:
    """One revision of upstream, and every series on it."""

    revision: Revision
    laid: Mapping[str, Laid]  # by base

    @property
    def support(self) -> Laid | None:
        """The series that supports the revision."""
        return supporting(self.laid.values())


@dataclass(frozen=True, slots=True)
class Break:
    """Where a patch first does not fit, going from its base to newer or to older revisions."""

    base: str
    patch: Patch
    side: Side
    revision: Revision
    breaches: tuple[Breach, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Patches against revisions."""

    bases: tuple[Base, ...]
    rows: tuple[Row, ...]  # newest first
    breaks: tuple[Break, ...]


def matrix(
    store: Store, history: Objects, wanted: Sequence[str] = (), bases: Sequence[Base] = ()
) -> Matrix:
    """Lay the series of `bases` (none: of all) on the revisions that `wanted` names.

    `wanted` holds ranges, each walked along first parents, and single refs; a base's name stands
    for its commit. None: the first parents of upstream's main branch, from the first that holds
    code.

    The bases of the result stand by their date.

    Raises: UsageError for what names no revision, InvalidError for a series that is not sound.
    """
    bases = tuple(sorted(bases or store.bases(), key=lambda base: base.date))
    series = [store.series(base.name) for base in bases]
    revisions = _revisions(history, wanted or _WHOLE, store.bases())
    paths = sorted({path for one in series for path in one.lock.paths})
    there = history.blob_ids((revision.commit for revision in revisions), paths)
    if not wanted:
        oldest_first = dropwhile(lambda r: not there[r.commit], reversed(revisions))
        revisions = tuple(oldest_first)[::-1]
    files = [there[revision.commit] for revision in revisions]
    laid = lay_all(series, files, _contents(history, series, files))
    rows = tuple(Row(revision, one) for revision, one in zip(revisions, laid, strict=True))
    return Matrix(bases, rows, _breaks(series, rows))


def check(store: Store, made: Matrix, *, whole: bool) -> tuple[SupportedRevision, ...]:
    """The recorded revisions that are in the matrix; each is still supported.

    With `whole` the matrix is of all of upstream, so none may be missing from it.

    Raises: InvalidError for the newest that is not supported, with the hunk that broke, or missing.
    """
    rows = {row.revision.commit: row for row in made.rows}
    recorded = tuple(one for one in store.supported() if one.commit in rows)
    absent = [one for one in store.supported() if one.commit not in rows]
    if whole and absent:
        raise InvalidError(
            f"{absent[0].commit[:12]} of {absent[0].date} is recorded as supported and is no "
            "revision of upstream's main branch here",
            remedy="bring the history up to date with `ltx2-patcher outdated`, or give the "
            "revision up with `ltx2-patcher matrix --write`",
        )
    lost = [one for one in recorded if rows[one.commit].support is None]
    if lost:
        laid = rows[lost[0].commit].laid
        was = laid.get(lost[0].base) or nearest(laid.values())
        more = f" (and {len(lost) - 1} more revisions are lost)" if len(lost) > 1 else ""
        raise InvalidError(
            f"{lost[0].commit[:12]} of {lost[0].date} was supported by {lost[0].base} and no "
            f"longer is: {reasons(was)[0]}{more}",
            remedy=f"correct the series (`ltx2-patcher matrix {lost[0].commit[:12]}` shows it), or "
            "give the revision up with `ltx2-patcher matrix --write`",
        )
    return recorded


def write(store: Store, made: Matrix) -> tuple[SupportedRevision, ...]:
    """Record which revisions of the matrix are supported now."""
    supported = tuple(
        SupportedRevision(row.revision.commit, row.revision.date, laid.base, laid.how.value)
        for row in made.rows
        if (laid := row.support)
    )
    disk.replace(store.supported_file, render_supported(supported))
    return supported


def ends(wanted: Sequence[str], bases: Sequence[Base]) -> list[str]:
    """The names of commits in what a matrix is wanted of, those of bases left out."""
    names = [end for name in wanted for end in name.split(_SPAN)]
    return [name for name in names if name and _pinned(name, bases) == name]


def _pinned(name: str, bases: Sequence[Base]) -> str:
    """The commit of the base of that name, or the name of a commit as it is."""
    return next((base.commit for base in bases if base.name == name), name)


def _revisions(
    history: Objects, wanted: Sequence[str], bases: Sequence[Base]
) -> tuple[Revision, ...]:
    found: dict[str, Revision] = {}
    single = []
    for name in wanted:
        named = _SPAN.join(_pinned(end, bases) for end in name.split(_SPAN))
        if name in _WHOLE or _SPAN in name:
            found |= {r.commit: r for r in history.revisions([named])}
        else:
            single.append(named)
    if single:
        found |= {r.commit: r for r in history.revisions(single, walk=False)}
    if not found:
        raise UsageError(
            f"{' '.join(wanted)} holds no revision of upstream",
            remedy="name commits, or swap the ends of the range",
        )
    order = {r.commit: n for n, r in enumerate(history.revisions(_WHOLE))}
    return tuple(sorted(found.values(), key=lambda r: order.get(r.commit, -1)))


def lay_all(
    every: Sequence[Series], there: Sequence[Mapping[str, str]], texts: Mapping[str, bytes]
) -> list[dict[str, Laid]]:
    """Each series, by its base, on each revision; `there` holds the blob id at each path.

    `texts` are the contents of all blobs of the bases and of the revisions that a patch goes into.
    """
    drift = _drift(every, there, texts)
    known: dict[tuple[str, tuple[str | None, ...]], Laid] = {}
    rows = []
    for found in there:
        laid = {}
        for series in every:
            key = series.base, tuple(found.get(path) for path in series.lock.paths)
            if key not in known:
                known[key] = _lay(series, found, texts, drift)
            laid[series.base] = known[key]
        rows.append(laid)
    return rows


def _contents(
    history: Objects, every: Sequence[Series], there: Sequence[Mapping[str, str]]
) -> dict[str, bytes]:
    touched = {path for series in every for path in series.lock.before}
    pinned = [blob for series in every for blob in series.lock.before.values()]
    wanted = [blob for found in there for path, blob in found.items() if path in touched]
    return history.contents([*pinned, *wanted])


_Drift = Mapping[tuple[str, str], tuple[Edit, ...]]  # from blob to blob


def _drift(
    every: Sequence[Series], there: Sequence[Mapping[str, str]], texts: Mapping[str, bytes]
) -> _Drift:
    """The edits between each two blobs that a series and a revision have at one path."""
    pairs = sorted(
        {
            (blob, found[path])
            for series in every
            for path, blob in series.lock.before.items()
            for found in there
            if path in found
        }
    )
    edits = line_diffs([(texts[old], texts[new]) for old, new in pairs])
    return dict(zip(pairs, edits, strict=True))


def _lay(
    series: Series, found: Mapping[str, str], texts: Mapping[str, bytes], drift: _Drift
) -> Laid:
    before = series.lock.before
    return lay(
        series,
        {path: texts[blob] for path, blob in before.items()},
        {path: texts[found[path]] for path in before if path in found},
        {path: drift[blob, found[path]] for path, blob in before.items() if path in found},
        [path for path in series.overlay if path in found],
    )


def _breaks(every: Sequence[Series], rows: Sequence[Row]) -> tuple[Break, ...]:
    breaks = []
    commits = [row.revision.commit for row in rows]
    for series in every:
        if series.lock.commit not in commits:
            continue  # without the base among them, none is the first
        at = commits.index(series.lock.commit)
        for patch in series.patches:
            walks: tuple[tuple[Side, Sequence[Row]], ...] = (
                ("newer", rows[:at][::-1]),
                ("older", rows[at + 1 :]),
            )
            for side, walk in walks:
                laid = [row.laid[series.base] for row in walk]
                place = first_break(laid, patch.name)
                if place is not None:
                    fit = next(f for f in laid[place].misfits if f.patch is patch)
                    where = walk[place].revision
                    breaks.append(Break(series.base, patch, side, where, fit.breaches))
    return tuple(breaks)
