"""Which bases somebody may have meant by a name that is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from ltx2_patcher.values.base import Base

_BEFORE = re.compile(r"(ltx-?2[-_ ]|v(?=\d))", re.IGNORECASE)
"""What people put before a base's name: its folder's in vendor/, a tag's."""
_COMMIT = re.compile(r"[0-9a-f]{6,40}")


def near(asked: str, bases: Sequence[Base]) -> tuple[Base, ...]:
    """The bases that a name comes near to, by the first of these that gives any: the name without
    what stands before it, its beginning, the commit, the model that is loaded, the letters; else
    all.
    """
    plain = _BEFORE.sub("", asked.strip().rstrip("/").rpartition("/")[2], count=1)
    letters = get_close_matches(plain, [base.name for base in bases])
    ways = (
        [base for base in bases if base.name == plain],
        [base for base in bases if plain and base.name.startswith(plain)],
        [base for base in bases if _COMMIT.fullmatch(asked) and base.commit.startswith(asked)],
        [base for base in bases if _loads(base, asked)],
        [base for base in bases if base.name in letters],
    )
    return tuple(next(filter(None, ways), bases))


def _loads(base: Base, asked: str) -> bool:
    """Whether `asked` is a model of upstream's, such as LTX-2.3, that the base loads."""
    return asked.lower() in {model.lower().partition(" ")[0] for model in base.loads}
