"""What happens to a job, as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import StreamingResponse

from ltx2_service.http.context import Context, off_loop, owner_of
from ltx2_service.http.waiting import woken
from ltx2_service.rules.openai_words import ErrorEnvelope
from ltx2_service.values.job import Job
from ltx2_service.values.refusals import NoSuchJob
from ltx2_service.values.told import Event

KINDS = ("queued", "place", "running", "progress", "preview", "completed", "failed")
_ENDS = {"completed", "failed"}
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": [*KINDS]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}
_ALIVE_S = 15.0  # between signs of life, by which a client that left is noticed


def routes(context: Context) -> APIRouter:
    """`GET /v1/videos/{video_id}/events`."""
    router = APIRouter(tags=["videos"])

    @router.get(
        "/v1/videos/{video_id}/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"itemSchema": _EVENT}}},
            "4XX": {"model": ErrorEnvelope},
            "5XX": {"model": ErrorEnvelope},
        },
    )
    async def events(
        request: Request,
        video_id: str,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Events from the first, or after Last-Event-ID, until the clip is completed or failed.

        Each has its number as id, its kind as event, and data in JSON. A preview's data holds a
        picture as a data: URL.
        """
        await off_loop(context.job, video_id, owner_of(request))
        after = last_event_id or ""
        start = int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else 0
        return StreamingResponse(
            _stream(context, video_id, start),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return router


async def _stream(context: Context, job_id: str, after: int) -> AsyncIterator[bytes]:
    try:
        async with woken(context, job_id) as event:
            yield b"retry: 1000\n\n"
            while True:
                event.clear()
                news = await off_loop(_news, context, job_id, after)
                after = news.after
                if news.text:
                    yield news.text
                if news.is_last or context.held.closed:
                    return
                try:
                    async with asyncio.timeout(_ALIVE_S):
                        await event.wait()
                except TimeoutError:
                    yield b": still here\n\n"
    except NoSuchJob:  # it was deleted meanwhile
        return


@dataclass(frozen=True, slots=True)
class _News:
    """What happened since an event."""

    text: bytes
    after: int  # the number of the last
    is_last: bool  # nothing follows


def _news(context: Context, job_id: str, after: int) -> _News:
    """All of it in one call: each turn of threads costs as much. Raises: NoSuchJob."""
    job = context.service.job(job_id)
    events = context.service.events(job_id, after)
    text = b"".join(_written(context, job, event) for event in events)
    is_last = job.state.is_end or any(event.kind in _ENDS for event in events)
    return _News(text, events[-1].number if events else after, is_last)


def _written(context: Context, job: Job, event: Event) -> bytes:
    """An event with what of it is of now: a picture, and the time that is left."""
    data: dict[str, Any] = dict(event.data)
    if event.kind == "progress" and (left_s := context.service.left_s(job)) is not None:
        data["left_s"] = round(left_s, 1)
    if event.kind == "preview":
        picture = context.service.preview(job.id)
        if picture is not None:
            data["image"] = f"data:{_type(picture)};base64,{base64.b64encode(picture).decode()}"
    text = json.dumps(data, ensure_ascii=True)  # one line, whatever it holds
    return f"id: {event.number}\nevent: {event.kind}\ndata: {text}\n\n".encode()


def _type(picture: bytes) -> str:
    return "image/png" if picture.startswith(b"\x89PNG") else "image/webp"
