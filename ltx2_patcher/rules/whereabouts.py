"""Where the lines around a hunk stand in another revision, when they are not where they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TELLING = 8
"""Shorter lines ("else:", ")") stand everywhere and tell nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where most of the lines stand."""

    path: str
    line: int  # of the first of them there, from 1
    found: int
    wanted: int


def whereabouts(lines: Sequence[bytes], files: Mapping[str, bytes]) -> Place | None:
    """The place that holds most of `lines`, the rarer ones counting more; None for no likely one.

    Indentation may differ: code that moves is often nested differently. A place is likely that
    holds two of the lines or more, and a third of them.
    """
    wanted = {text for line in lines if len(text := line.strip()) >= _TELLING}
    there = {
        path: [line.strip() for line in content.split(b"\n")] for path, content in files.items()
    }
    held = {path: wanted.intersection(texts) for path, texts in there.items()}
    rarity = Counter(text for texts in held.values() for text in texts)
    likely = [path for path, texts in held.items() if len(texts) >= max(2, len(wanted) / 3)]
    if not likely:
        return None
    path = max(likely, key=lambda path: (sum(1 / rarity[text] for text in held[path]), path))
    at = [number for number, text in enumerate(there[path], start=1) if text in wanted]
    reach = 2 * len(lines)
    texts = there[path]
    first = max(
        at,
        key=lambda start: (
            len({texts[number - 1] for number in at if start <= number < start + reach}),
            -start,
        ),
    )
    return Place(path, first, len(held[path]), len(wanted))
