"""One SQLite file: its tables, its connections, its transactions.

In WAL mode, one thread writes at a time and any may read meanwhile; a durable transaction stands on
the disk once it is over (synchronous=FULL).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ltx2_patcher.values.errors import InvalidError, OutsideError
from ltx2_service.values.refusals import Draining

VERSION = 1
_BUSY_S = 10.0  # that another connection, such as a backup's, is waited for

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


class Database:
    """The file at `path`; any thread may use it. `lock` keeps others from writing in between.

    Every method raises OutsideError where the disk does not let it read or write, and Draining once
    it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
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
        with self.lock, self._read_lock:
            self._closed = True
            self._base.close()
            self._reads.close()

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

    def one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a statement."""
        rows = self.all(statement, *values)
        return rows[0] if rows else None

    def all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a statement: as they stand on the disk, but for whoever writes."""
        with self._translated():
            if self._writer == threading.get_ident():
                return self._base.execute(statement, values).fetchall()
            with self._read_lock:
                return self._reads.execute(statement, values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Do a statement within `writing`."""
        self._base.execute(statement, values)

    def run_each(self, statement: str, each: Iterable[Sequence[Any]]) -> None:
        """Do a statement with each of these values, within `writing`."""
        self._base.executemany(statement, each)

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction; with `durable` it is on the disk afterwards."""
        with self._translated(), self.lock:
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
