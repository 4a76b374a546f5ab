"""served.json: which revisions of upstream are served, and by which base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ltx2_patcher.values.errors import InvalidError


@dataclass(frozen=True, slots=True)
class ServedRevision:
    """One line of the record."""

    commit: str  # upstream's
    date: str  # yyyy-mm-dd
    base: str
    how: str  # "strict" or "3-way"


def parse_served(data: bytes, origin: str) -> tuple[ServedRevision, ...]:
    """Read the record; `origin` names the file in errors.

    Raises: InvalidError where it is not one.
    """
    try:
        rows = [(str(commit), row) for commit, row in json.loads(data).items()]
        return tuple(
            ServedRevision(commit, str(row["date"]), str(row["base"]), str(row["how"]))
            for commit, row in rows
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(
            f"{origin} is not a record of what is served: {error!r}",
            remedy="restore it with `git checkout -- patches`, "
            "or make it again with `ltx2-patcher matrix --write`",
        ) from error


def render_served(revisions: Sequence[ServedRevision]) -> bytes:
    """The bytes that parse_served reads back: one revision a line, so that changes show."""
    rows = [
        f" {json.dumps(one.commit)}: "
        + json.dumps({"date": one.date, "base": one.base, "how": one.how})
        for one in revisions
    ]
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()
