"""What differs between two series in what their patches do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from ltx2_patcher.rules.series.diff_text import hunk_lines
from ltx2_patcher.values.series import FileDiff, Patch

_CONTEXT = 3


class Likeness(Enum):
    """How a patch of one series stands to the other series; the signs are range-diff's."""

    SAME = "="
    DIFFERS = "!"
    ONLY_IN_ONE = "<"
    ONLY_IN_OTHER = ">"


@dataclass(frozen=True, slots=True)
class Pair:
    """Patches of the same name."""

    name: str
    likeness: Likeness
    places: tuple[int | None, int | None]  # in each series, from 1
    lines: tuple[str, ...]  # a diff of what the two do: "-" as in one, "+" as in the other


def compare_patches(
    one: Sequence[Patch], other: Sequence[Patch], *, everything: bool = False
) -> tuple[Pair, ...]:
    """The patches of `one` in order, each with that of its name, then those of `other` alone.

    What counts is which lines a patch takes from and puts into which file, however deep they are
    indented, and its group. With `everything` all that a person wrote or reads counts: indentation,
    the lines around a change, and the message; never line numbers or blob ids.
    """
    first = {patch.name: (n, patch) for n, patch in enumerate(one, start=1)}
    second = {patch.name: (n, patch) for n, patch in enumerate(other, start=1)}
    pairs = []
    for name in dict.fromkeys((*first, *second)):
        here, there = first.get(name), second.get(name)
        places = (here[0] if here else None, there[0] if there else None)
        if here and there:
            lines = tuple(_differences(here[1], there[1], everything=everything))
            likeness = Likeness.DIFFERS if lines else Likeness.SAME
        else:
            lines = ()
            likeness = Likeness.ONLY_IN_ONE if here else Likeness.ONLY_IN_OTHER
        pairs.append(Pair(name, likeness, places, lines))
    return tuple(pairs)


def _sections(patch: Patch, *, everything: bool) -> dict[str, list[str]]:
    """What counts of a patch: its words below "", and below each path its lines."""
    words = [patch.subject, "", *patch.body.splitlines()] if everything else []
    found = {"": words or [f"Group: {patch.group}"]}
    for diff in patch.diffs:
        found[diff.path] = list(_lines(diff, everything=everything))
    return found


def _lines(diff: FileDiff, *, everything: bool) -> Iterator[str]:
    for hunk in diff.hunks:
        yield f"@@{hunk.header.split('@@', 2)[2]}" if everything else "@@"
        yield from (line for line in hunk_lines(hunk) if everything or line[0] != " ")


def _differences(one: Patch, other: Patch, *, everything: bool) -> Iterator[str]:
    """A unified diff of what the two say and do, file by file."""
    here, there = (_sections(patch, everything=everything) for patch in (one, other))
    for path in sorted(here.keys() | there.keys()):
        changed = list(_diff(here.get(path, []), there.get(path, []), everything=everything))
        if changed and path:
            only = "" if path in here and path in there else f" (only {'-+'[path in there]})"
            yield f"## {path}{only}"
        yield from changed


def _diff(one: list[str], other: list[str], *, everything: bool) -> Iterator[str]:
    keys = [
        [line if everything else line[:1] + line[1:].strip() for line in text]
        for text in (one, other)
    ]
    matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        if number:
            yield "..."
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                yield from (f"  {line}" for line in one[i:i_end])
            else:
                yield from (f"- {line}" for line in one[i:i_end])
                yield from (f"+ {line}" for line in other[j:j_end])
