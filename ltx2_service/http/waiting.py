"""Waiting for a job without a thread: the service wakes the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from ltx2_service.http.context import Context, off_loop
from ltx2_service.values.job import Job


@asynccontextmanager
async def woken(context: Context, job_id: str) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever something happened to the job, or the service stops."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(event.set)

    leave = await off_loop(context.service.subscribe, job_id, wake)
    try:
        with context.held.holding(wake):
            yield event
    finally:
        leave()


async def wait_for_end(context: Context, job_id: str, request: Request, limit_s: float) -> Job:
    """The job as it is once it ends, the client leaves, the service stops or the time is up.

    Raises: NoSuchJob, where it was deleted meanwhile.
    """
    gone = asyncio.create_task(_left(request))
    ends = asyncio.get_running_loop().time() + limit_s
    try:
        async with woken(context, job_id) as event:
            while True:
                event.clear()
                job = await off_loop(context.service.job, job_id)
                left_s = ends - asyncio.get_running_loop().time()
                if job.state.is_end or context.held.closed or gone.done() or left_s <= 0:
                    return job
                waking = asyncio.create_task(event.wait())
                await asyncio.wait(
                    {waking, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
    finally:
        gone.cancel()


async def _left(request: Request) -> None:
    """Until the client has left; its body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
