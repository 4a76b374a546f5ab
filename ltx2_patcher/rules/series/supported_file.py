"""supported.json: which revisions of upstream are supported, and by which base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ltx2_patcher.rules.series.fields import Field, Wrong, json_document
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
        return tuple(_revision(commit, row) for commit, row in json_document(data).items())
    except Wrong as wrong:
        raise InvalidError(
            f"{origin} is not a record of what is supported: {wrong}",
            remedy="restore it with `git checkout -- patches`, "
            "or make it again with `ltx2-patcher matrix --write`",
        ) from wrong


def _revision(commit: str, row: Field) -> SupportedRevision:
    row.only("date", "base", "how")
    return SupportedRevision(commit, *(row[key].text() for key in ("date", "base", "how")))


def render_supported(revisions: Sequence[SupportedRevision]) -> bytes:
    """The bytes that parse_supported reads back: one revision a line, so that changes show."""
    rows = [
        f" {json.dumps(one.commit)}: "
        + json.dumps({"date": one.date, "base": one.base, "how": one.how})
        for one in revisions
    ]
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()
