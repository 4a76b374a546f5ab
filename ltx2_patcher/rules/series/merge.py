"""Three-way merging of line edits, with git's rule for what clashes.

Two edits of one text clash where they touch, with no unchanged line between them, and do not make
the same lines (xdiff/xmerge.c of git; tests compare the two).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltx2_patcher.values.series import Edit


@dataclass(frozen=True, slots=True)
class Clash:
    """A place for which both sides have lines of their own."""

    start: int  # index of its first line in the base text, from 0
    base: tuple[bytes, ...]
    ours: tuple[bytes, ...]
    theirs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """Both sides' edits, each on the text that the other side makes."""

    ours: tuple[Edit, ...]  # what they made too is left out, and so is what clashes
    theirs: tuple[Edit, ...]  # where both clash, these put their lines for ours
    clashes: tuple[Clash, ...]


def edited(lines: Sequence[bytes], edits: Sequence[Edit]) -> list[bytes]:
    """The text with the edits made. They are in order, and their old lines stand where they say."""
    out: list[bytes] = []
    done = 0
    for edit in edits:
        out += lines[done : edit.start]
        out += edit.new
        done = edit.end
    return [*out, *lines[done:]]


def undone(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits that take `edits` back, on the text that they make."""
    back, shift = [], 0
    for edit in edits:
        back.append(Edit(edit.start + shift, edit.new, edit.old))
        shift += edit.growth
    return tuple(back)


def merge(base: Sequence[bytes], ours: Sequence[Edit], theirs: Sequence[Edit]) -> Merged:
    """Bring together two series of edits of the text `base`, each in order and without overlap."""
    on_theirs: list[Edit] = []
    on_ours: list[Edit] = []
    clashes = []
    grown_ours = grown_theirs = 0
    for place in _places(ours, theirs):
        if not place.theirs:
            on_theirs += _moved(place.ours, grown_theirs)
        elif not place.ours:
            on_ours += _moved(place.theirs, grown_ours)
        else:
            old = tuple(base[place.start : place.end])
            mine = tuple(edited(old, _moved(place.ours, -place.start)))
            other = tuple(edited(old, _moved(place.theirs, -place.start)))
            if mine != other:
                clashes.append(Clash(place.start, old, mine, other))
                on_ours.append(Edit(place.start + grown_ours, mine, other))
        grown_ours += sum(edit.growth for edit in place.ours)
        grown_theirs += sum(edit.growth for edit in place.theirs)
    return Merged(tuple(on_theirs), tuple(on_ours), tuple(clashes))


def across(base: Sequence[bytes], ours: Sequence[Edit], theirs: Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits that make their text from ours."""
    edits, grown = [], 0
    for place in _places(ours, theirs):
        old = tuple(base[place.start : place.end])
        mine = tuple(edited(old, _moved(place.ours, -place.start)))
        other = tuple(edited(old, _moved(place.theirs, -place.start)))
        if mine != other:
            edits.append(Edit(place.start + grown, mine, other))
        grown += sum(edit.growth for edit in place.ours)
    return tuple(edits)


@dataclass(slots=True)
class _Place:
    """Edits of either side that touch each other."""

    start: int
    end: int
    ours: list[Edit]
    theirs: list[Edit]


def _places(ours: Sequence[Edit], theirs: Sequence[Edit]) -> Iterator[_Place]:
    sides = [(edit.start, edit.end, edit, True) for edit in ours]
    sides += [(edit.start, edit.end, edit, False) for edit in theirs]
    place: _Place | None = None
    for start, end, edit, mine in sorted(sides, key=lambda side: side[:2]):
        if place is None or start > place.end:
            if place:
                yield place
            place = _Place(start, end, [], [])
        place.end = max(place.end, end)
        (place.ours if mine else place.theirs).append(edit)
    if place:
        yield place


def _moved(edits: Sequence[Edit], by: int) -> list[Edit]:
    return [Edit(edit.start + by, edit.old, edit.new) for edit in edits] if by else list(edits)
