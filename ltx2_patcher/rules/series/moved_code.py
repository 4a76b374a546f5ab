"""Where the code around a hunk stands in another revision, when it is not where it was."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(rb"[A-Za-z_]{6,}")
"""Names long enough to tell one place from another."""

_COMMON = 12
"""A name that stands in more files than this tells nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """The lines that speak most of the same things."""

    path: str
    line: int  # the first of them, from 1
    found: int  # names that stand in both
    wanted: int


def whereabouts(lines: Sequence[bytes], files: Mapping[str, bytes]) -> Place | None:
    """The place in `files` with most of the names in `lines`, the rarer ones counting more.

    Names and not lines are compared: code that moves is often wrapped, nested or called anew. None
    where no place as long as twice `lines` has three of the names, and a third of them.
    """
    wanted = set(_WORD.findall(b"".join(lines)))
    held = {path: wanted & _words(data) for path, data in files.items()}
    spread = Counter(word for words in held.values() for word in words)
    telling = {word for word in wanted if 0 < spread[word] <= _COMMON}
    best: tuple[float, Place] | None = None
    for path, words in held.items():
        if len(words & telling) < 3:
            continue
        at = [
            (number, word)
            for number, line in enumerate(files[path].split(b"\n"), start=1)
            for word in _WORD.findall(line)
            if word in telling
        ]
        for first in dict.fromkeys(number for number, _ in at):
            here = {word for number, word in at if first <= number < first + 2 * len(lines)}
            if len(here) >= max(3, len(wanted) / 3):
                weight = sum(1 / spread[word] for word in here)
                if best is None or weight > best[0]:
                    best = weight, Place(path, first, len(here), len(wanted))
    return best[1] if best else None


# Each hunk that does not fit is looked for in all files of a revision.
@lru_cache(maxsize=1024)
def _words(data: bytes) -> frozenset[bytes]:
    return frozenset(_WORD.findall(data))
