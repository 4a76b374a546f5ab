"""The database, whose rows are the truth: jobs, what happened to them, the pictures they take.

What a client was told stands on the disk before it is told; how far a clip is does not have to, and
is written without waiting. Each change of an attempt is one statement that compares its token.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltx2_service.boundaries.database import Database
from ltx2_service.boundaries.event_rows import Events
from ltx2_service.boundaries.job_rows import Rows
from ltx2_service.boundaries.picture_rows import Pictures
from ltx2_service.rules.outcome import CANCELLED
from ltx2_service.rules.wanted_text import render_wanted
from ltx2_service.values.attempt import Again, Completed, Failed, Outcome
from ltx2_service.values.job import Claim, Failure, Job, State
from ltx2_service.values.told import Event, Progress


class Store(Rows):
    """The database at `path`; any thread may use it. Clips are named by their place in `clips`.

    Every method raises OutsideError where the disk does not let it read or write, and Draining once
    it is closed.
    """

    def __init__(self, path: Path, clips: Path) -> None:
        self.path = path
        database = Database(path)
        super().__init__(database, clips)
        self._events = Events(database)
        self._pictures = Pictures(database)

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
            self._pictures.add(job.id, [picture.path for picture in wanted.pictures])
            self._events.add(job.id, "queued", data)
            return self._must(job.id), True

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
            self._events.add(job_id, "running", {"worker": worker, "attempt": row["attempt"]})
            return self.claim_of(row)

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
            self._events.add(job_id, "progress", told)
            if shows:
                self._events.add(job_id, "preview", {"step": progress.step})
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
            self._events.add(job_id, "queued", {"attempt": row["attempt"]})
            return self.job_of(row)

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
            free = self._pictures.lone(row["number"])
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
            free = self._pictures.lone(row["number"])
            self._pictures.drop(row["number"])
            return free

    def takes_picture(self, path: Path) -> bool:
        """Whether a job takes that picture."""
        return self._pictures.are_taken(path)

    def tell(self, kind: str, data: Mapping[str, Mapping[str, object]]) -> None:
        """Something passing happened to jobs, by id; it takes the place of the last of its kind."""
        with self._database.writing(durable=False):
            for job_id, told in data.items():
                self._events.add(job_id, kind, told)

    def events(self, job_id: str, after: int) -> tuple[Event, ...]:
        """What happened to a job since its event of that number."""
        return self._events.since(job_id, after)

    def _ended(self, row: sqlite3.Row) -> Job:
        job = self.job_of(row)
        if job.failure is None:
            self._events.add(job.id, "completed", {"seconds": job.seconds})
        else:
            told = {"code": job.failure.code, "message": job.failure.message}
            self._events.add(job.id, "failed", told)
        return job

    def _must(self, job_id: str) -> Job:
        job = self.job(job_id)
        assert job is not None, job_id
        return job
