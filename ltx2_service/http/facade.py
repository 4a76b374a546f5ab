"""What HTTP asks of the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ltx2_service.values.job import Job, Wanted
from ltx2_service.values.told import Card, Event, Page, QueueState


class Facade(Protocol):
    """`jobs.service.Service`, and the small one of the tests; its calls are short."""

    def accept(self, wanted: Wanted, /) -> tuple[Job, bool]:
        """The job, and whether it is new."""

    def job(self, job: str, /) -> Job:
        """The job of that id. Raises: NoSuchJob."""

    def jobs(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        newest_first: bool = True,
        owner: str | None = None,
    ) -> Page:
        """Some jobs. Raises: NoSuchJob, of `after`."""

    def cancel(self, job: str, /) -> Job:
        """Ask that a job ends. Raises: NoSuchJob."""

    def delete(self, job: str, /) -> Job:
        """Forget an ended job and its files. Raises: NoSuchJob."""

    def place(self, job: Job, /) -> int:
        """How many go before a queued one."""

    def left_s(self, job: Job, /) -> float | None:
        """Estimated seconds until it ends."""

    def events(self, job: str, /, after: int = 0) -> Sequence[Event]:
        """What happened to a job since. Raises: NoSuchJob."""

    def subscribe(self, job: str, wake: Callable[[], None], /) -> Callable[[], None]:
        """Let `wake` be called, in any thread, when there is more; returns the way out of it."""

    def thumbnail(self, job: Job, /) -> Path:
        """A still of a completed one. Raises: PatcherError."""

    def spritesheet(self, job: Job, /) -> Path:
        """Stills of a completed one. Raises: PatcherError."""

    def tagged(self, job: Job, /) -> Path:
        """A copy of the clip of a completed one, with its settings inside. Raises: PatcherError."""

    def preview(self, job: str, /) -> bytes | None:
        """The latest of a running one."""

    def cards(self) -> Sequence[Card]:
        """Each worker's card."""

    def queue(self) -> QueueState:
        """Whether clips are taken and made."""
