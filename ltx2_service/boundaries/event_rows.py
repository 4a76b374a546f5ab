"""The rows of events: what happened to each job."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ltx2_service.boundaries.database import Database
from ltx2_service.values.told import Event

_LASTING = frozenset({"queued", "running", "completed", "failed"})
"""Kinds of events of which each stays; of the others a newer one takes the place."""


class Events:
    """The events of a database. Raises: OutsideError, and Draining once that is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job_id: str, kind: str, data: Mapping[str, object]) -> None:
        """It happened to a job, if there is one of that id; within `Database.writing`."""
        row = self._database.one(
            "update jobs set events = events + 1 where id = ? returning *", job_id
        )
        if row is None:
            return
        if kind not in _LASTING:
            self._database.run(
                "delete from events where job = ? and kind = ?", (row["number"], kind)
            )
        self._database.run(
            "insert into events values (?, ?, ?, ?)",
            (row["number"], row["events"], kind, json.dumps(data)),
        )

    def since(self, job_id: str, after: int) -> tuple[Event, ...]:
        """What happened to a job since its event of that number."""
        rows = self._database.all(
            "select events.number, kind, data from events join jobs on events.job = jobs.number "
            "where jobs.id = ? and events.number > ? order by events.number",
            job_id,
            after,
        )
        return tuple(Event(row[0], job_id, row[1], json.loads(row[2])) for row in rows)
