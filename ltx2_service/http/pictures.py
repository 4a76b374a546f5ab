"""A job with the pictures of its request, which stay only where it is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from anyio.to_thread import run_sync

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.http.context import Context, off_loop
from ltx2_service.rules.data_urls import bytes_of
from ltx2_service.rules.words import Reference, Sent
from ltx2_service.values.job import Job, Picture, Wanted

T = TypeVar("T")
Asked = tuple[Wanted, Sequence[Reference]]


async def accept(context: Context, asked: Callable[[], Asked], shown: Callable[[Job], T]) -> T:
    """What `shown` makes of the job of what is `asked`, with the pictures that this names.

    Without pictures all is done in one thread: each turn of threads costs as much as any of it.
    Raises: PatcherError.
    """
    made: list[T] = []

    def begin() -> Asked:
        wanted, references = asked()
        if not references:
            made.append(shown(_accept(context, wanted, ())))
        return wanted, references

    wanted, references = await off_loop(begin)
    if made:
        return made[0]
    kept = [lambda one=one: _keep(context.uploads, one) for one in references]
    return await _accepted(context, wanted, kept, shown)


async def accept_again(context: Context, wanted: Wanted, shown: Callable[[Job], T]) -> T:
    """As `accept`, with copies of the pictures that what is wanted has of another job.

    Raises: PatcherError.
    """
    uploads = context.uploads
    kept = [lambda one=one: uploads.copy(one) for one in wanted.pictures]
    return await _accepted(context, wanted, kept, shown)


async def _accepted(
    context: Context,
    wanted: Wanted,
    keeps: Sequence[Callable[[], Picture]],
    shown: Callable[[Job], T],
) -> T:
    """Pictures take memory and time: few requests that bring some are taken at once."""

    def taken() -> T:
        return shown(_accept(context, wanted, keeps))

    if not keeps:
        return await off_loop(taken)
    return await run_sync(taken, limiter=context.decoding)


def _accept(context: Context, wanted: Wanted, keeps: Sequence[Callable[[], Picture]]) -> Job:
    """In one thread, so that nothing comes between the pictures and their job."""
    pictures: list[Picture] = []
    is_new = False
    try:
        for keep in keeps:
            pictures.append(keep())  # noqa: PERF401 - those before a bad one are forgotten
        job, is_new = context.service.accept(replace(wanted, pictures=tuple(pictures)))
    finally:
        if not is_new:
            context.uploads.forget(pictures)
    return job


def _keep(uploads: Uploads, one: Reference) -> Picture:
    data = one.source.data if isinstance(one.source, Sent) else bytes_of(one.source, one.param)
    return Picture(uploads.keep(data, param=one.param), one.frame, one.strength)
