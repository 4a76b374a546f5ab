"""Which series supports a revision of upstream, and what broke the others: the drift matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from ltx2_patcher.rules.series.blobs import blob_ids
from ltx2_patcher.rules.series.diff_text import hunk_lines, shown
from ltx2_patcher.rules.series.merge import Clash
from ltx2_patcher.rules.series.plan import Stage, check_symbols
from ltx2_patcher.rules.series.three_way import Breach, Fit, How, replay
from ltx2_patcher.values.base import GROUPS, OPTIONAL
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Edit, Lock, Series

_NEAR = 3
"""Lines around a hunk of ours that count as its neighbourhood: git's own context."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A series on one revision."""

    base: str
    fits: tuple[Fit, ...]  # one a patch, in order
    faults: tuple[str, ...]  # why the result is no good where every patch fits; sentences
    drift: int  # lines by which the revision differs from the base in the files we touch

    @property
    def supports(self) -> bool:
        """Whether each patch goes in or is there, and the result parses and holds its symbols."""
        return not self.faults and all(fit.how is not How.MISFIT for fit in self.fits)

    @property
    def how(self) -> How:
        """STRICT where every patch is, else THREE_WAY; MISFIT where it is not supported."""
        if not self.supports:
            return How.MISFIT
        strict = all(fit.how is How.STRICT for fit in self.fits)
        return How.STRICT if strict else How.THREE_WAY

    @property
    def misfits(self) -> tuple[Fit, ...]:
        """The patches that do not fit."""
        return tuple(fit for fit in self.fits if fit.how is How.MISFIT)


def lay(
    series: Series,
    base: Mapping[str, bytes],
    tree: Mapping[str, bytes],
    drift: Mapping[str, Sequence[Edit]],
    taken: Iterable[str] = (),
) -> Laid:
    """Put the series on a revision and check what it makes.

    `base`, `tree` and `drift` are as `replay` takes them; `taken` are the overlay's paths at which
    the revision has files of its own.
    """
    fits = _without_misfits(replay(series.patches, base, tree, drift))
    lines = sum(len(edit.old) + len(edit.new) for edits in drift.values() for edit in edits)
    laid = Laid(series.base, fits, (), lines)
    if not laid.supports:
        return laid
    return replace(laid, faults=tuple(_faults(series, laid, {**tree, **final(laid)}, taken)))


def _without_misfits(fits: tuple[Fit, ...]) -> tuple[Fit, ...]:
    """Leave out the optional groups from the first on that has a patch which does not fit."""
    groups = [fit.patch.group for fit in fits if fit.how is How.MISFIT]
    places = [OPTIONAL.index(group) for group in groups if group in OPTIONAL]
    left_out = OPTIONAL[min(places) :] if places else ()
    return tuple(
        replace(fit, how=How.LEFT_OUT, files={}) if fit.patch.group in left_out else fit
        for fit in fits
    )


def _faults(
    series: Series, laid: Laid, patched: Mapping[str, bytes], taken: Iterable[str]
) -> Iterator[str]:
    for path in sorted(taken):
        yield f"upstream has a file of its own at {path}, where the overlay goes"
    left_out = {fit.patch.group for fit in laid.fits if fit.how is How.LEFT_OUT}
    symbols = {group: held for group, held in series.symbols.items() if group not in left_out}
    try:
        check_symbols(replace(series, symbols=symbols), {**patched, **series.overlay})
    except InvalidError as error:
        yield str(error)


def final(laid: Laid) -> dict[str, bytes]:
    """What the patches leave of each file that one of them changed."""
    return {path: data for fit in laid.fits for path, data in fit.files.items()}


def supporting(laid: Iterable[Laid]) -> Laid | None:
    """The series that supports a revision: strict before three-way, then what drifted least.

    None where none does.
    """
    able = [one for one in laid if one.supports]
    return min(able, key=lambda one: (one.how is not How.STRICT, one.drift), default=None)


def nearest(laid: Iterable[Laid]) -> Laid:
    """The series that comes nearest to supporting one: the fewest patches that do not fit."""
    return min(laid, key=lambda one: (len(one.misfits), len(one.faults), one.drift))


def stages_of(series: Series, laid: Laid, upto: str) -> tuple[Stage, ...]:
    """What the series makes of the revision up to the group `upto`, commit by commit.

    A patch that landed or was left out makes no commit.
    """
    last = GROUPS.index(upto)
    made = [
        Stage(fit.patch, fit.files)
        for fit in laid.fits
        if fit.files and GROUPS.index(fit.patch.group) <= last
    ]
    return (Stage(None, dict(series.overlay)), *made)


def lock_on(series: Series, laid: Laid, commit: str, tree: Mapping[str, bytes]) -> Lock:
    """The lock of the series on the revision `commit`, whose files are `tree`."""
    before = blob_ids(tree)
    now = before | blob_ids(series.overlay)
    after = {}
    for group in series.lock.groups:
        for fit in laid.fits:
            if fit.patch.group == group:
                now |= blob_ids(fit.files)
        after[group] = dict(now)
    return replace(series.lock, commit=commit, before=before, after=after)


def first_break(laid: Sequence[Laid], patch: str) -> int | None:
    """Where, in a walk away from its base, a patch first does not fit."""
    for place, one in enumerate(laid):
        if any(fit.patch.name == patch for fit in one.misfits):
            return place
    return None


def reasons(laid: Laid) -> list[str]:
    """Why a revision is not supported, one sentence a hunk or fault; none where it is."""
    broken = [
        f"{fit.patch.name} does not fit: {said}"
        for fit in laid.misfits
        for said in in_words(fit.breaches)
    ]
    return [*broken, *(f"every patch fits, but {fault}" for fault in laid.faults)]


def in_words(breaches: Sequence[Breach]) -> list[str]:
    """What stands in the way, one sentence a hunk, or a file where that is not there."""
    absent = Counter(breach.path for breach in breaches if breach.clash is None)
    gone = [
        f"{path}: there is no such plain file ({hunks} of our hunks)"
        for path, hunks in absent.items()
    ]
    return gone + [_clash_in_words(b, b.clash) for b in breaches if b.clash is not None]


def _clash_in_words(breach: Breach, clash: Clash) -> str:
    place = f"{breach.path}, hunk {breach.hunk.header.strip().rstrip(':')}"
    ours, theirs = clash.base, clash.theirs
    same = takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))
    at = len(list(same))
    wanted, stands = _first(ours[at:]), _first(theirs[at:])
    if wanted == stands:
        return f'{place}: "{wanted}" stands there with other blanks'
    if not stands:
        return f'{place}: "{wanted}" is gone'
    if not wanted:
        return f'{place}: "{stands}" stands where ours goes'
    return f'{place}: "{wanted}" should stand there and is "{stands}"'


def _first(lines: Sequence[bytes]) -> str:
    return shown(next((line for line in lines if line.strip()), b"")).strip()


def near(ours: Sequence[Edit], theirs: Sequence[Edit]) -> tuple[Edit, ...]:
    """Keep the edits of `theirs` that touch an edit of `ours` or its context; both of one text."""
    return tuple(
        edit
        for edit in theirs
        if any(edit.start <= one.end + _NEAR and one.start <= edit.end + _NEAR for one in ours)
    )


def diff_lines(breach: Breach) -> Iterator[tuple[str, str]]:
    """A breach as marked lines: "-" and "+" are ours, "<" and ">" what upstream made there."""
    yield from (("@", line) for line in hunk_lines(breach.hunk))
    if breach.clash is not None:
        yield from (("<", shown(line)) for line in breach.clash.base)
        yield from ((">", shown(line)) for line in breach.clash.theirs)
