"""The database, whose rows are the truth: jobs, what happened to them, the pictures they take.

One SQLite file in WAL mode. What a client was told stands on the disk before it is told
(synchronous=FULL); how far a clip is does not have to, and is written without waiting. Each change
of an attempt is one statement that compares its token.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_patcher.values.errors import InvalidError, OutsideError
from ltx2_service.rules.outcome import CANCELLED
from ltx2_service.rules.wanted_text import parse_wanted, render_wanted
from ltx2_service.values.attempt import Again, Completed, Failed, Outcome
from ltx2_service.values.job import Claim, Failure, Job, State
from ltx2_service.values.refusals import Draining, KeyTaken, NoSuchJob
from ltx2_service.values.told import Event, Progress
from ltx2_service.values.waiting import Run, Waiting

VERSION = 1
_BUSY_S = 10.0  # that another connection, such as a backup's, is waited for
_RUNS = 50  # of a model, from which its pace is told

_SCHEMA = """
create table jobs (
    number integer primary key autoincrement,
    id text not null unique,
    owner text not null,
    key text,
    body text not null,
    wanted text not null,
    model text not null,
    priority integer not null,
    gpu integer,
    tokens integer not null,
    argv text not null,
    series text not null,
    state text not null,
    created_s real not null,
    attempt integer not null default 0,
    token integer not null default 0,
    worker text,
    cold integer not null default 0,
    started_s real,
    ended_s real,
    stage text not null default '',
    step integer not null default 0,
    steps integer not null default 0,
    cancels integer not null default 0,
    failure_code text,
    failure_message text,
    clip text,
    seconds real,
    peak_bytes integer,
    events integer not null default 0
) strict;
create unique index job_of_key on jobs (owner, key) where key is not null;
create index jobs_by_state on jobs (state, number);
create index runs_of_model on jobs (model, number) where clip is not null;
create table events (
    job integer not null references jobs (number) on delete cascade,
    number integer not null,
    kind text not null,
    data text not null,
    primary key (job, number)
) strict, without rowid;
create table pictures (
    path text not null,
    job integer not null references jobs (number) on delete cascade,
    primary key (path, job)
) strict, without rowid;
"""
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
        self._lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._writer: int | None = None  # the thread that has a transaction under way
        self._closed = False
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = _connected(path)
            self._base.execute("pragma journal_mode = wal")
            self._base.execute("pragma foreign_keys = on")
            self._prepare()
            # Who only reads does not wait for the disk to take what another writes.
            self._reads = _connected(path)
            self._reads.execute("pragma query_only = on")

    def close(self) -> None:
        """Nothing can be asked any more."""
        with self._lock, self._read_lock:
            self._closed = True
            self._base.close()
            self._reads.close()

    def accept(
        self, job: Job, *, body: str, tokens: int, most: int, data: Mapping[str, object]
    ) -> tuple[Job, bool] | None:
        """A new job's row, durable, with its first event `data`; or the job that its owner's key
        has made before, and False. None where `most` wait already.

        Raises: KeyTaken where that was another request.
        """
        wanted = job.wanted
        with self._writing():
            if wanted.key is not None and (first := self.of_key(wanted.owner, wanted.key, body)):
                return first, False
            if self.counts().waiting >= most:
                return None
            self._base.execute(
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
            self._base.executemany(
                "insert or ignore into pictures select ?, number from jobs where id = ?",
                [(str(picture.path), job.id) for picture in wanted.pictures],
            )
            self._tell(job.id, "queued", data)
            return self._must(job.id), True

    def job(self, job_id: str) -> Job | None:
        """The job of that id."""
        row = self._one("select * from jobs where id = ?", job_id)
        return None if row is None else self._job(row)

    def of_key(self, owner: str, key: str, body: str) -> Job | None:
        """The job that a key of that owner has made. Raises: KeyTaken where that was another
        request.
        """
        row = self._one("select * from jobs where owner = ? and key = ?", owner, key)
        if row is not None and row["body"] != body:
            raise KeyTaken(key)
        return None if row is None else self._job(row)

    def claimed(self, job_id: str) -> Claim | None:
        """The job with its latest token, whether that attempt runs or not."""
        row = self._one("select * from jobs where id = ?", job_id)
        return None if row is None else self._claim(row)

    def jobs(
        self, *, after: str | None, limit: int, newest_first: bool, owner: str | None
    ) -> tuple[Job, ...]:
        """So many jobs behind that of the id `after`. Raises: NoSuchJob where there is none."""
        terms, values = ["1"], []
        if after is not None:
            row = self._one("select number from jobs where id = ?", after)
            if row is None:
                raise NoSuchJob(after)
            terms.append("number < ?" if newest_first else "number > ?")
            values.append(row["number"])
        if owner is not None:
            terms.append("owner = ?")
            values.append(owner)
        rows = self._all(
            f"select * from jobs where {' and '.join(terms)} "  # noqa: S608 - words of ours
            f"order by number {'desc' if newest_first else 'asc'} limit ?",
            *values,
            limit,
        )
        return tuple(map(self._job, rows))

    def waiting(self) -> tuple[Waiting, ...]:
        """All queued jobs, the oldest first."""
        rows = self._all(
            "select id, number, owner, priority, gpu, model, tokens from jobs where state = ? "
            "order by number",
            State.QUEUED.value,
        )
        return tuple(Waiting(*row) for row in rows)

    def running(self) -> tuple[Claim, ...]:
        """The latest attempt of each running job."""
        rows = self._all("select * from jobs where state = ?", State.RUNNING.value)
        return tuple(self._claim(row) for row in rows)

    def counts(self) -> Counts:
        """How many wait and run."""
        rows = self._all(
            "select state, count(*) from jobs where state in (?, ?) group by state",
            State.QUEUED.value,
            State.RUNNING.value,
        )
        found = {row[0]: row[1] for row in rows}
        return Counts(found.get(State.QUEUED.value, 0), found.get(State.RUNNING.value, 0))

    def runs(self, model: str) -> tuple[Run, ...]:
        """The newest clips of a model that are there."""
        rows = self._all(
            "select model, tokens, seconds, cold from jobs where model = ? and clip is not null "
            "order by number desc limit ?",
            model,
            _RUNS,
        )
        return tuple(Run(row[0], row[1], row[2], bool(row[3])) for row in rows)

    def readmit(self, job_id: str, argv: Sequence[str], series: str) -> bool:
        """A queued job has the argv of another series; whether there is such a job."""
        with self._writing():
            row = self._one(
                "update jobs set argv = ?, series = ? where id = ? and state = ? returning id",
                json.dumps(argv),
                series,
                job_id,
                State.QUEUED.value,
            )
            return row is not None

    def claim(self, job_id: str, worker: str, *, cold: bool, now_s: float) -> Claim | None:
        """A new attempt at a queued job, under a token of its own; None where it waits no more."""
        with self._writing():
            row = self._one(
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
        with self._writing(durable=False):
            row = self._one(
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
        with self._writing():
            row = self._one(
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
        with self._writing():
            row = self._one(
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
        with self._writing():
            row = self._one(
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
        with self._lock:  # else it could begin, or wait again, in between
            if self.refuse(job_id, CANCELLED, now_s) is None:
                with self._writing():
                    self._base.execute(
                        "update jobs set cancels = 1 where id = ? and state = ?",
                        (job_id, State.RUNNING.value),
                    )
            return self.claimed(job_id)

    def delete(self, job_id: str) -> tuple[Path, ...] | None:
        """An ended job is gone; the pictures that no other job takes. None where there is no such
        job, or it has not ended.
        """
        with self._writing():
            row = self._one("select * from jobs where id = ?", job_id)
            if row is None or not State(row["state"]).is_end:
                return None
            free = self._lone_pictures(row["number"])
            self._base.execute("delete from jobs where number = ?", (row["number"],))
            return free

    def retire(self, job_id: str) -> tuple[Path, ...]:
        """An ended job has no clip any more, nor pictures; returns those that no other takes."""
        with self._writing():
            row = self._one(
                "update jobs set clip = null where id = ? and state in (?, ?) returning number",
                job_id,
                State.COMPLETED.value,
                State.FAILED.value,
            )
            if row is None:
                return ()
            free = self._lone_pictures(row["number"])
            self._base.execute("delete from pictures where job = ?", (row["number"],))
            return free

    def ended_before(self, moment_s: float) -> tuple[Job, ...]:
        """Jobs that ended before then and still hold a clip or pictures."""
        rows = self._all(
            "select * from jobs where ended_s < ? and (clip is not null or exists "
            "(select 1 from pictures where job = jobs.number)) order by number",
            moment_s,
        )
        return tuple(map(self._job, rows))

    def takes_picture(self, path: Path) -> bool:
        """Whether a job takes that picture."""
        return self._one("select 1 from pictures where path = ? limit 1", str(path)) is not None

    def tell(self, kind: str, data: Mapping[str, Mapping[str, object]]) -> None:
        """Something passing happened to jobs, by id; it takes the place of the last of its kind."""
        with self._writing(durable=False):
            for job_id, told in data.items():
                self._tell(job_id, kind, told)

    def events(self, job_id: str, after: int) -> tuple[Event, ...]:
        """What happened to a job since its event of that number."""
        rows = self._all(
            "select events.number, kind, data from events join jobs on events.job = jobs.number "
            "where jobs.id = ? and events.number > ? order by events.number",
            job_id,
            after,
        )
        return tuple(Event(row[0], job_id, row[1], json.loads(row[2])) for row in rows)

    def _tell(self, job_id: str, kind: str, data: Mapping[str, object]) -> None:
        row = self._one("update jobs set events = events + 1 where id = ? returning *", job_id)
        if row is None:
            return
        if kind not in _LASTING:
            self._base.execute(
                "delete from events where job = ? and kind = ?", (row["number"], kind)
            )
        self._base.execute(
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
        rows = self._all(
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

    def _prepare(self) -> None:
        """Raises: InvalidError for a database of a later version of the service."""
        (found,) = self._base.execute("pragma user_version").fetchone()
        if found == VERSION:
            return
        if found:
            raise InvalidError(
                f"{self.path} is a database of version {found}, and this service reads {VERSION}",
                remedy="start the service that wrote it, or name another state folder",
            )
        try:
            self._base.executescript(
                f"begin exclusive; {_SCHEMA} pragma user_version = {VERSION}; commit"
            )
        except sqlite3.Error:
            if self._base.in_transaction:
                self._base.execute("rollback")
            raise

    def _one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        rows = self._all(statement, *values)
        return rows[0] if rows else None

    def _all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._translated():
            if self._writer == threading.get_ident():
                return self._base.execute(statement, values).fetchall()
            with self._read_lock:
                return self._reads.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction; with `durable` it is on the disk afterwards."""
        with self._translated(), self._lock:
            self._base.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._base.execute("begin immediate")
            self._writer = threading.get_ident()
            try:
                yield
                self._base.execute("commit")
            except BaseException:
                if self._base.in_transaction:  # of some failures SQLite itself takes all back
                    self._base.execute("rollback")
                raise
            finally:
                self._writer = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            if self._closed:
                raise Draining from error
            raise
        except (sqlite3.Error, OSError) as error:
            raise OutsideError(
                f"{self.path} can't be used: {error}",
                remedy="free some space on its disk, and see that it can be written",
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(
        path,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    base.row_factory = sqlite3.Row
    return base
