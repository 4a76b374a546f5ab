"""The rows of pictures: which jobs take each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltx2_service.boundaries.database import Database


class Pictures:
    """The pictures of a database, by their jobs' numbers.

    Raises: OutsideError, and Draining once it is closed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job_id: str, paths: Iterable[Path]) -> None:
        """A job takes them; within `Database.writing`."""
        self._database.run_each(
            "insert or ignore into pictures select ?, number from jobs where id = ?",
            [(str(path), job_id) for path in paths],
        )

    def lone(self, job: int) -> tuple[Path, ...]:
        """Those that a job takes, and no other."""
        rows = self._database.all(
            "select path from pictures where job = ? and path not in "
            "(select path from pictures where job <> ?)",
            job,
            job,
        )
        return tuple(Path(row[0]) for row in rows)

    def drop(self, job: int) -> None:
        """A job takes none any more; within `Database.writing`."""
        self._database.run("delete from pictures where job = ?", (job,))

    def are_taken(self, path: Path) -> bool:
        """Whether a job takes that one."""
        row = self._database.one("select 1 from pictures where path = ? limit 1", str(path))
        return row is not None
