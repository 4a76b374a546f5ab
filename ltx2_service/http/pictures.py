"""A job with the pictures of its request, which stay only where it is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from anyio.to_thread import run_sync

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.http.context import Context, off_loop
from ltx2_service.rules.data_urls import bytes_of
from ltx2_service.rules.words import Reference, Sent
from ltx2_service.values.job import Job, Picture, Wanted


async def accept(context: Context, wanted: Wanted, references: Sequence[Reference] = ()) -> Job:
    """The job of what is wanted, with the pictures that a request names. Raises: PatcherError."""
    uploads = context.uploads
    kept = [lambda one=one: _keep(uploads, one) for one in references]
    return await _accepted(context, wanted, kept)


async def accept_again(context: Context, wanted: Wanted) -> Job:
    """The job of what is wanted, with copies of the pictures that it has of another job.

    Raises: PatcherError.
    """
    uploads = context.uploads
    kept = [lambda one=one: uploads.copy(one) for one in wanted.pictures]
    return await _accepted(context, wanted, kept)


async def _accepted(
    context: Context, wanted: Wanted, keeps: Sequence[Callable[[], Picture]]
) -> Job:
    """Pictures take memory and time: few requests that bring some are taken at once."""
    if not keeps:
        return await off_loop(_accept, context, wanted, keeps)
    return await run_sync(_accept, context, wanted, keeps, limiter=context.decoding)


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
