"""The rows of jobs: what stands in them, and how they are found."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ltx2_service.boundaries.database import Database
from ltx2_service.rules.wanted_text import parse_wanted
from ltx2_service.values.job import Claim, Failure, Job, State
from ltx2_service.values.refusals import KeyTaken, NoSuchJob
from ltx2_service.values.waiting import Run, Waiting

_RUNS = 50  # of a model, from which its pace is told


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are of the two states that are no end."""

    waiting: int
    running: int


class Rows:
    """The jobs of a database; any thread may ask. Clips are named by their place in `clips`.

    Every method raises OutsideError where the disk does not let it read, and Draining once the
    database is closed.
    """

    def __init__(self, database: Database, clips: Path) -> None:
        self._database = database
        self._clips = clips

    def job(self, job_id: str) -> Job | None:
        """The job of that id."""
        row = self._database.one("select * from jobs where id = ?", job_id)
        return None if row is None else self.job_of(row)

    def of_key(self, owner: str, key: str, body: str) -> Job | None:
        """The job that a key of that owner has made. Raises: KeyTaken where that was another
        request.
        """
        row = self._database.one("select * from jobs where owner = ? and key = ?", owner, key)
        if row is not None and row["body"] != body:
            raise KeyTaken(key)
        return None if row is None else self.job_of(row)

    def claimed(self, job_id: str) -> Claim | None:
        """The job with its latest token, whether that attempt runs or not."""
        row = self._database.one("select * from jobs where id = ?", job_id)
        return None if row is None else self.claim_of(row)

    def jobs(
        self, *, after: str | None, limit: int, newest_first: bool, owner: str | None
    ) -> tuple[Job, ...]:
        """So many jobs behind that of the id `after`. Raises: NoSuchJob where there is none."""
        terms, values = ["1"], []
        if after is not None:
            row = self._database.one("select number from jobs where id = ?", after)
            if row is None:
                raise NoSuchJob(after)
            terms.append("number < ?" if newest_first else "number > ?")
            values.append(row["number"])
        if owner is not None:
            terms.append("owner = ?")
            values.append(owner)
        rows = self._database.all(
            f"select * from jobs where {' and '.join(terms)} "  # noqa: S608 - words of ours
            f"order by number {'desc' if newest_first else 'asc'} limit ?",
            *values,
            limit,
        )
        return tuple(map(self.job_of, rows))

    def waiting(self) -> tuple[Waiting, ...]:
        """All queued jobs, the oldest first."""
        rows = self._database.all(
            "select id, number, owner, priority, gpu, model, tokens from jobs where state = ? "
            "order by number",
            State.QUEUED.value,
        )
        return tuple(Waiting(*row) for row in rows)

    def running(self) -> tuple[Claim, ...]:
        """The latest attempt of each running job."""
        rows = self._database.all("select * from jobs where state = ?", State.RUNNING.value)
        return tuple(self.claim_of(row) for row in rows)

    def counts(self) -> Counts:
        """How many wait and run."""
        rows = self._database.all(
            "select state, count(*) from jobs where state in (?, ?) group by state",
            State.QUEUED.value,
            State.RUNNING.value,
        )
        found = {row[0]: row[1] for row in rows}
        return Counts(found.get(State.QUEUED.value, 0), found.get(State.RUNNING.value, 0))

    def runs(self, model: str) -> tuple[Run, ...]:
        """The newest clips of a model that are there."""
        rows = self._database.all(
            "select model, tokens, seconds, cold from jobs where model = ? and clip is not null "
            "order by number desc limit ?",
            model,
            _RUNS,
        )
        return tuple(Run(row[0], row[1], row[2], bool(row[3])) for row in rows)

    def ended_before(self, moment_s: float) -> tuple[Job, ...]:
        """Jobs that ended before then and still hold a clip or pictures."""
        rows = self._database.all(
            "select * from jobs where ended_s < ? and (clip is not null or exists "
            "(select 1 from pictures where job = jobs.number)) order by number",
            moment_s,
        )
        return tuple(map(self.job_of, rows))

    def claim_of(self, row: sqlite3.Row) -> Claim:
        """The attempt that a whole row is at."""
        return Claim(self.job_of(row), row["token"], row["worker"] or "")

    def job_of(self, row: sqlite3.Row) -> Job:
        """The job of a whole row."""
        code = row["failure_code"]
        return Job(
            id=row["id"],
            wanted=parse_wanted(row["wanted"]),
            state=State(row["state"]),
            created_s=row["created_s"],
            argv=tuple(json.loads(row["argv"])),
            series=row["series"],
            attempt=row["attempt"],
            worker=row["worker"],
            started_s=row["started_s"],
            ended_s=row["ended_s"],
            stage=row["stage"],
            step=row["step"],
            steps=row["steps"],
            cancels=bool(row["cancels"]),
            failure=None if code is None else Failure(code, row["failure_message"]),
            clip=None if row["clip"] is None else self._clips / row["clip"],
            seconds=row["seconds"],
        )
