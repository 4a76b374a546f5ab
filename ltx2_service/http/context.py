"""What all routes share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.http.facade import Facade
from ltx2_service.values.job import Job
from ltx2_service.values.refusals import NoSuchJob
from ltx2_service.values.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


_DECODED_AT_ONCE = 2  # requests with pictures, each of which takes 200 MB at the limit of pixels
_MADE_AT_ONCE = 2  # files of finished clips; the others wait without a thread


class Held:
    """Requests that are held until something happens; a shutdown would wait for them."""

    def __init__(self) -> None:
        self.closed = False
        self._wakes: set[Callable[[], None]] = set()
        self._lock = Lock()

    def close(self) -> None:
        """Let all of them end, and all that come later at once; from any thread."""
        with self._lock:
            self.closed = True
            wakes = tuple(self._wakes)
        for wake in wakes:
            wake()

    @contextmanager
    def holding(self, wake: Callable[[], None]) -> Iterator[None]:
        """`wake` is called when it is to end, in any thread."""
        with self._lock:
            self._wakes.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakes.discard(wake)


@dataclass(frozen=True, slots=True)
class Context:
    """The service behind the routes, and what they need beside it."""

    service: Facade
    settings: Settings
    uploads: Uploads
    held: Held = field(default_factory=Held)
    decoding: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DECODED_AT_ONCE))
    making: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_MADE_AT_ONCE))

    def job(self, job_id: str, owner: str | None) -> Job:
        """A job of that owner's; to others it does not exist. Raises: NoSuchJob."""
        job = self.service.job(job_id)
        if owner is not None and job.wanted.owner != owner:
            raise NoSuchJob(job_id)
        return job


def owner_of(request: Request) -> str | None:
    """The name of the token that a request came with; None where the service asks for none."""
    owner: str | None = request.state.owner
    return owner


def off_loop(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Call in a thread: a durable write takes milliseconds, in which others want answers."""
    return run_in_threadpool(call, *args, **kwargs)
