"""Where attempts run: what the service asks of the processes that hold the cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ltx2_service.values.assignment import Assignment
from ltx2_service.values.told import Card, Ended, Progress

__all__ = ["Assignment", "Executor", "Told"]

Told = Callable[[str, int, Progress | Ended], None]
"""Called with a job, a token and what its worker says of it, in any thread. An end may be told
again until it is settled; where a call fails it is.
"""


class Executor(Protocol):
    """The workers of a service, one a card, which go on while nobody listens.

    What ended while nobody listened is told once somebody does: a result lies in the spool until
    `settled`.
    """

    def start(self, told: Told) -> None:
        """Bring up the workers that are lacking, and find those that run. Raises: OutsideError."""

    def trouble(self) -> str | None:
        """A sentence, where something keeps all workers away; None where that is for each card to
        say.
        """

    def cards(self) -> Sequence[Card]:
        """Each worker as it is now."""

    def running(self) -> Sequence[tuple[str, int, str]]:
        """(job, token, worker) of each attempt that workers have in hand or in the spool."""

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Let an idle worker make an attempt. Raises: OutsideError where it can't be reached."""

    def cancel(self, job: str, token: int) -> None:
        """Ask that an attempt ends at its next point; a worker that does not within 10 s is
        replaced.
        """

    def settled(self, job: str, token: int) -> None:
        """What was told of the end of an attempt stands in the store: the spool may forget it."""

    def stop(self, drain_s: float) -> None:
        """End the workers, each once it is idle or so much time has passed."""

    def leave(self) -> None:
        """Stop listening; workers go on."""
