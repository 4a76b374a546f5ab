"""supported.json: which revisions of upstream are supported, and by which base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ltx2_patcher.values.errors import InvalidError


@dataclass(frozen=True, slots=True)
class SupportedRevision:
    """One line of the record."""

    commit: str  # upstream's
    date: str  # yyyy-mm-dd
    base: str
    how: str  # "strict" or "3-way"


def parse_supported(data: bytes, origin: str) -> tuple[SupportedRevision, ...]:
    """Read the record; `origin` names the file in errors.

    Raises: InvalidError where it is not one.
    """
    try:
        rows = [(str(commit), row) for commit, row in json.loads(data).items()]
        return tuple(
            SupportedRevision(commit, str(row["date"]), str(row["base"]), str(row["how"]))
            for commit, row in rows
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(
            f"{origin} is not a record of what is supported: {error!r}",
            remedy="restore it with `git checkout -- patches`, "
            "or make it again with `ltx2-patcher matrix --write`",
        ) from error


def render_supported(revisions: Sequence[SupportedRevision]) -> bytes:
    """The bytes that parse_supported reads back: one revision a line, so that changes show."""
    rows = [
        f" {json.dumps(one.commit)}: "
        + json.dumps({"date": one.date, "base": one.base, "how": one.how})
        for one in revisions
    ]
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()
