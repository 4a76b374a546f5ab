"""The database, whose rows are the truth: jobs, what happened to them, the pictures they take.

What a client was told stands on the disk before it is told; how far a clip is does not have to, and
is written without waiting. Each change of an attempt is one statement that compares its token.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_service.boundaries.database import Database
from ltx2_service.rules.outcome import CANCELLED
from ltx2_service.rules.wanted_text import parse_wanted, render_wanted
from ltx2_service.values.attempt import Again, Completed, Failed, Outcome
from ltx2_service.values.job import Claim, Failure, Job, State
from ltx2_service.values.refusals import KeyTaken, NoSuchJob
from ltx2_service.values.told import Event, Progress
from ltx2_service.values.waiting import Run, Waiting

_RUNS = 50  # of a model, from which its pace is told

_LASTING = frozenset({"queued", "running", "completed", "failed"})
"""Kinds of events of which each stays; of the others a newer one takes the place."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are of the two states that are no end."""

    waiting: int
    running: int


class Store:
    """The database at `path`; any thread may use it. Clips are named by their place in `clips`.

    Every method raises OutsideError where the disk does not let it read or write, and Draining once
    it is closed.
    """

    def __init__(self, path: Path, clips: Path) -> None:
        self.path = path
        self._clips = clips
        self._database = Database(path)

    def close(self) -> None:
        """Nothing can be asked any more."""
        self._database.close()

    def accept(
        self, job: Job, *, body: str, tokens: int, most: int, data: Mapping[str, object]
    ) -> tuple[Job, bool] | None:
        """A new job's row, durable, with its first event `data`; or the job that its owner's key
        has made before, and False. None where `most` wait already.

        Raises: KeyTaken where that was another request.
        """
        wanted = job.wanted
        with self._database.writing():
            if wanted.key is not None and (first := self.of_key(wanted.owner, wanted.key, body)):
                return first, False
            if self.counts().waiting >= most:
                return None
            self._database.run(
                "insert into jobs (id, owner, key, body, wanted, model, priority, gpu, tokens, argv"
                ", series, state, created_s) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    wanted.owner,
                    wanted.key,
                    body,
                    render_wanted(wanted),
                    wanted.model,
                    wanted.priority,
                    wanted.gpu,
                    tokens,
                    json.dumps(job.argv),
                    job.series,
                    State.QUEUED.value,
                    job.created_s,
                ),
            )
            self._database.run_each(
                "insert or ignore into pictures select ?, number from jobs where id = ?",
                [(str(picture.path), job.id) for picture in wanted.pictures],
            )
            self._tell(job.id, "queued", data)
            return self._must(job.id), True

    def job(self, job_id: str) -> Job | None:
        """The job of that id."""
        row = self._database.one("select * from jobs where id = ?", job_id)
        return None if row is None else self._job(row)

    def of_key(self, owner: str, key: str, body: str) -> Job | None:
        """The job that a key of that owner has made. Raises: KeyTaken where that was another
        request.
        """
        row = self._database.one("select * from jobs where owner = ? and key = ?", owner, key)
        if row is not None and row["body"] != body:
            raise KeyTaken(key)
        return None if row is None else self._job(row)

    def claimed(self, job_id: str) -> Claim | None:
        """The job with its latest token, whether that attempt runs or not."""
        row = self._database.one("select * from jobs where id = ?", job_id)
        return None if row is None else self._claim(row)

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
        return tuple(map(self._job, rows))

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
        return tuple(self._claim(row) for row in rows)

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

    def readmit(self, job_id: str, argv: Sequence[str], series: str) -> bool:
        """A queued job has the argv of another series; whether there is such a job."""
        with self._database.writing():
            row = self._database.one(
                "update jobs set argv = ?, series = ? where id = ? and state = ? returning id",
                json.dumps(argv),
                series,
                job_id,
                State.QUEUED.value,
            )
            return row is not None

    def claim(self, job_id: str, worker: str, *, cold: bool, now_s: float) -> Claim | None:
        """A new attempt at a queued job, under a token of its own; None where it waits no more."""
        with self._database.writing():
            row = self._database.one(
                "update jobs set state = ?, attempt = attempt + 1, token = token + 1, worker = ?, "
                "cold = ?, started_s = ?, stage = '', step = 0, steps = 0 "
                "where id = ? and state = ? returning *",
                State.RUNNING.value,
                worker,
                int(cold),
                now_s,
                job_id,
                State.QUEUED.value,
            )
            if row is None:
                return None
            self._tell(job_id, "running", {"worker": worker, "attempt": row["attempt"]})
            return self._claim(row)

    def renew(self, job_id: str, token: int, progress: Progress, *, shows: bool = False) -> bool:
        """How far an attempt is, and whether it `shows` a preview; whether it is the latest."""
        with self._database.writing(durable=False):
            row = self._database.one(
                "update jobs set stage = ?, step = ?, steps = ? "
                "where id = ? and token = ? and state = ? returning number",
                progress.stage,
                progress.step,
                progress.steps,
                job_id,
                token,
                State.RUNNING.value,
            )
            if row is None:
                return False
            told = {"stage": progress.stage, "step": progress.step, "steps": progress.steps}
            self._tell(job_id, "progress", told)
            if shows:
                self._tell(job_id, "preview", {"step": progress.step})
            return True

    def finish(self, job_id: str, token: int, outcome: Outcome, now_s: float) -> Job | None:
        """The job once that attempt at it has ended so; None where it is not the latest."""
        if isinstance(outcome, Again):
            return self._requeue(job_id, token, outcome)
        failure = outcome.failure if isinstance(outcome, Failed) else None
        done = outcome if isinstance(outcome, Completed) else None
        with self._database.writing():
            row = self._database.one(
                "update jobs set state = ?, ended_s = ?, failure_code = ?, failure_message = ?, "
                "clip = ?, seconds = ?, peak_bytes = ?, step = case when ? then steps else step "
                "end where id = ? and token = ? and state = ? returning *",
                (State.COMPLETED if done else State.FAILED).value,
                now_s,
                failure and failure.code,
                failure and failure.message,
                done and done.clip,
                done and done.seconds,
                done and done.peak_bytes,
                done is not None,
                job_id,
                token,
                State.RUNNING.value,
            )
            return None if row is None else self._ended(row)

    def _requeue(self, job_id: str, token: int, again: Again) -> Job | None:
        with self._database.writing():
            row = self._database.one(
                "update jobs set state = ?, attempt = attempt - ?, stage = '', step = 0, steps = 0 "
                "where id = ? and token = ? and state = ? returning *",
                State.QUEUED.value,
                int(not again.counts),
                job_id,
                token,
                State.RUNNING.value,
            )
            if row is None:
                return None
            self._tell(job_id, "queued", {"attempt": row["attempt"]})
            return self._job(row)

    def refuse(self, job_id: str, failure: Failure, now_s: float) -> Job | None:
        """A queued job has failed before it began; None where it waits no more."""
        with self._database.writing():
            row = self._database.one(
                "update jobs set state = ?, ended_s = ?, failure_code = ?, failure_message = ? "
                "where id = ? and state = ? returning *",
                State.FAILED.value,
                now_s,
                failure.code,
                failure.message,
                job_id,
                State.QUEUED.value,
            )
            return None if row is None else self._ended(row)

    def cancel(self, job_id: str, now_s: float) -> Claim | None:
        """The job, once it is asked to end: a queued one has failed, a running one is marked, an
        ended one is as it was. None where there is no such job.
        """
        with self._database.lock:  # else it could begin, or wait again, in between
            if self.refuse(job_id, CANCELLED, now_s) is None:
                with self._database.writing():
                    self._database.run(
                        "update jobs set cancels = 1 where id = ? and state = ?",
                        (job_id, State.RUNNING.value),
                    )
            return self.claimed(job_id)

    def delete(self, job_id: str) -> tuple[Path, ...] | None:
        """An ended job is gone; the pictures that no other job takes. None where there is no such
        job, or it has not ended.
        """
        with self._database.writing():
            row = self._database.one("select * from jobs where id = ?", job_id)
            if row is None or not State(row["state"]).is_end:
                return None
            free = self._lone_pictures(row["number"])
            self._database.run("delete from jobs where number = ?", (row["number"],))
            return free

    def retire(self, job_id: str) -> tuple[Path, ...]:
        """An ended job has no clip any more, nor pictures; returns those that no other takes."""
        with self._database.writing():
            row = self._database.one(
                "update jobs set clip = null where id = ? and state in (?, ?) returning number",
                job_id,
                State.COMPLETED.value,
                State.FAILED.value,
            )
            if row is None:
                return ()
            free = self._lone_pictures(row["number"])
            self._database.run("delete from pictures where job = ?", (row["number"],))
            return free

    def ended_before(self, moment_s: float) -> tuple[Job, ...]:
        """Jobs that ended before then and still hold a clip or pictures."""
        rows = self._database.all(
            "select * from jobs where ended_s < ? and (clip is not null or exists "
            "(select 1 from pictures where job = jobs.number)) order by number",
            moment_s,
        )
        return tuple(map(self._job, rows))

    def takes_picture(self, path: Path) -> bool:
        """Whether a job takes that picture."""
        return (
            self._database.one("select 1 from pictures where path = ? limit 1", str(path))
            is not None
        )

    def tell(self, kind: str, data: Mapping[str, Mapping[str, object]]) -> None:
        """Something passing happened to jobs, by id; it takes the place of the last of its kind."""
        with self._database.writing(durable=False):
            for job_id, told in data.items():
                self._tell(job_id, kind, told)

    def events(self, job_id: str, after: int) -> tuple[Event, ...]:
        """What happened to a job since its event of that number."""
        rows = self._database.all(
            "select events.number, kind, data from events join jobs on events.job = jobs.number "
            "where jobs.id = ? and events.number > ? order by events.number",
            job_id,
            after,
        )
        return tuple(Event(row[0], job_id, row[1], json.loads(row[2])) for row in rows)

    def _tell(self, job_id: str, kind: str, data: Mapping[str, object]) -> None:
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

    def _ended(self, row: sqlite3.Row) -> Job:
        job = self._job(row)
        if job.failure is None:
            self._tell(job.id, "completed", {"seconds": job.seconds})
        else:
            told = {"code": job.failure.code, "message": job.failure.message}
            self._tell(job.id, "failed", told)
        return job

    def _lone_pictures(self, number: int) -> tuple[Path, ...]:
        rows = self._database.all(
            "select path from pictures where job = ? and path not in "
            "(select path from pictures where job <> ?)",
            number,
            number,
        )
        return tuple(Path(row[0]) for row in rows)

    def _must(self, job_id: str) -> Job:
        job = self.job(job_id)
        assert job is not None, job_id
        return job

    def _claim(self, row: sqlite3.Row) -> Claim:
        return Claim(self._job(row), row["token"], row["worker"] or "")

    def _job(self, row: sqlite3.Row) -> Job:
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
