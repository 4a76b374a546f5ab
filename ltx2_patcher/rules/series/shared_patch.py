"""One patch file for several bases.

The shared file holds the message, the changes and their context; its `index` and `@@` lines are
blank. The lock of each base fills them in, and puts its own lines of context where those differ. So
bases share a patch that says the same in its message and takes and puts the same lines in the same
files; where one of these differs, they part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from ltx2_patcher.rules.series.message import unfit
from ltx2_patcher.values.series import Series, Shared

_DIFF_START = b"diff --git "
_INDEX, _HUNK, _CONTEXT = b"index", b"@@", b" "
_BLANK = (_INDEX, _HUNK)


def shared_form(mail: bytes) -> bytes:
    """The shared file of a canonical patch."""
    lines = mail.split(b"\n")
    kinds = _kinds(lines)
    return b"\n".join(
        kind if kind and kind in _BLANK else line for line, kind in zip(lines, kinds, strict=True)
    )


def lines_on(form: bytes, mail: bytes) -> dict[int, bytes] | None:
    """The lines that make the canonical patch `mail` of a shared file, by number from 1.

    None where it is another change, or says other words.
    """
    ours, theirs = form.split(b"\n"), mail.split(b"\n")
    kinds = _kinds(ours)
    if kinds != _kinds(theirs):
        return None
    lines = {}
    for number, (line, other, kind) in enumerate(zip(ours, theirs, kinds, strict=True), start=1):
        if line != other or kind in _BLANK:
            if kind is None:
                return None
            lines[number] = other
    return lines


def joined(name: str, form: bytes, lines: Mapping[int, bytes]) -> bytes:
    """The canonical patch that a shared file and the lines of one base are.

    Raises: InvalidError where a line that must be blank is not, one is not filled in, or another
    than a blank line or one of context would be replaced.
    """
    whole = form.split(b"\n")
    kinds = _kinds(whole)
    blank = {number for number, kind in enumerate(kinds, start=1) if kind in _BLANK}
    if filled := [number for number in sorted(blank) if whole[number - 1] not in _BLANK]:
        raise unfit(name, f"line {filled[0]} of the shared file is not blank")
    if blank - lines.keys():
        raise unfit(name, f"line {min(blank - lines.keys())} of the shared file stays blank")
    for number, line in lines.items():
        kind = kinds[number - 1] if 0 < number <= len(whole) else None
        if kind is None or not line.startswith(kind):
            raise unfit(name, f"line {number} of the shared file is not a base's to replace")
        whole[number - 1] = line
    return b"\n".join(whole)


Forms = Mapping[tuple[str, str], bytes]
"""The shared files: folder below patches/shared, and name of the patch -> content."""


def alike(every: Sequence[Series]) -> dict[str, list[tuple[str, ...]]]:
    """By patch, the bases whose patches of that name are one change; bases that stand alone too."""
    found: dict[str, list[list[tuple[str, bytes]]]] = {}
    for series in every:
        for patch in series.patches:
            same = found.setdefault(patch.name, [])
            group = next((g for g in same if lines_on(g[0][1], patch.data) is not None), None)
            if group is None:
                same.append(group := [])
            group.append((series.base, patch.data))
    return {
        name: [tuple(base for base, _ in group) for group in same] for name, same in found.items()
    }


def placed(
    every: Sequence[Series], forms: Forms, in_use: AbstractSet[tuple[str, str]]
) -> tuple[dict[tuple[str, str], bytes], dict[tuple[str, str], Shared]]:
    """The shared files that these series are made of, and base and name -> place in one of them.

    A patch that equals one of `forms` is made of that. Where several of the series make one change
    that none of these is, a new file holds it, named for the first base whose name is free: no file
    `in_use` by another series is touched. What is left lies in its base's own folder.
    """
    mails = {(series.base, patch.name): patch.data for series in every for patch in series.patches}
    places = dict(_matches(mails, forms))
    used = {(place.form, name): forms[place.form, name] for (_, name), place in places.items()}
    for name, groups in alike(every).items():
        for group in groups:
            if len(group) < 2 or (group[0], name) in places:
                continue
            taken = in_use | used.keys()
            form = next((base for base in group if (base, name) not in taken), None)
            if form is not None:
                made = {(form, name): shared_form(mails[group[0], name])}
                used |= made
                places |= _matches({(base, name): mails[base, name] for base in group}, made)
    return used, places


def _matches(
    mails: Mapping[tuple[str, str], bytes], forms: Forms
) -> Iterator[tuple[tuple[str, str], Shared]]:
    for (base, name), mail in mails.items():
        for (form, of), content in forms.items():
            lines = lines_on(content, mail) if of == name else None
            if lines is not None:
                yield (base, name), Shared(form, lines)
                break


def _kinds(lines: list[bytes]) -> list[bytes | None]:
    """Of each line how it must start on every base; None where it is the same on all."""
    kinds: list[bytes | None] = []
    in_diff = False
    for line in lines:
        in_diff = in_diff or line.startswith(_DIFF_START)
        starts = (start for start in (_INDEX, _HUNK, _CONTEXT) if line.startswith(start))
        kinds.append(next(starts, None) if in_diff else None)
    return kinds
