"""OpenAI's videos API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import FileResponse, JSONResponse, Response

from ltx2_service.http import bodies
from ltx2_service.http.context import Context, off_loop, owner_of
from ltx2_service.http.documents import body_of
from ltx2_service.http.files import clip_answer, still_answer
from ltx2_service.http.pictures import Asked, accept, accept_again
from ltx2_service.rules.openai_words import (
    CreateVideo,
    CreateVideoForm,
    ErrorEnvelope,
    RemixVideo,
    Video,
    VideoDeleted,
    VideoList,
    poll_after_ms,
    references_of,
    remix_of,
    video_of,
    wanted_of,
)
from ltx2_service.values.job import Job, State
from ltx2_service.values.request_faults import BadRequest, NotOffered

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorEnvelope},
    "5XX": {"model": ErrorEnvelope},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(("video/mp4", "image/webp", "image/png", "image/jpeg"), _BINARY)}
}
MODELS = (CreateVideo, CreateVideoForm, RemixVideo)
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


def routes(context: Context) -> APIRouter:
    """Everything of /v1/videos but its events."""
    router = APIRouter(prefix="/v1/videos", tags=["videos"])

    def shown(job: Job) -> dict[str, Any]:
        return _shown(context, job)

    def retrieved(video_id: str, owner: str | None) -> dict[str, Any]:
        return shown(context.job(video_id, owner))

    def answer(video: dict[str, Any]) -> Response:
        after = poll_after_ms(video["seconds_left"])
        return JSONResponse(video, headers={"openai-poll-after-ms": str(after)})

    @router.post(
        "",
        response_model=Video,
        responses=_ERRORS,
        openapi_extra=body_of(json=CreateVideo, form=CreateVideoForm),
    )
    async def create(request: Request, idempotency_key: Key = None) -> Response:
        """Ask for a clip, in JSON or by a form with files."""
        bodies.refuse_type(request, bodies.JSON, bodies.FORM)
        understood: Callable[[], CreateVideo] = (
            await bodies.form_reader(request, CreateVideoForm)
            if bodies.is_form(request)
            else await bodies.json_reader(request, CreateVideo)
        )

        def asked() -> Asked:
            body = understood()
            wanted = wanted_of(body, owner=owner_of(request) or "", key=idempotency_key)
            return wanted, references_of(body)

        return answer(await accept(context, asked, shown))

    @router.get("", response_model=VideoList, responses=_ERRORS)
    async def list_videos(
        request: Request,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        """A page of clips, newest first unless `order` is asc, from behind the clip `after`."""
        owner = owner_of(request)

        def page() -> dict[str, Any]:
            found = context.service.jobs(
                after=after, limit=limit, newest_first=order == "desc", owner=owner
            )
            return {
                "object": "list",
                "data": [shown(job) for job in found.jobs],
                "first_id": found.jobs[0].id if found.jobs else None,
                "last_id": found.jobs[-1].id if found.jobs else None,
                "has_more": found.has_more,
            }

        return JSONResponse(await off_loop(page))

    @router.get("/{video_id}", response_model=Video, responses=_ERRORS)
    async def retrieve(request: Request, video_id: str) -> Response:
        """A clip as it is now."""
        return answer(await off_loop(retrieved, video_id, owner_of(request)))

    @router.get(
        "/{video_id}/content", response_class=FileResponse, responses={**_CONTENT, **_ERRORS}
    )
    async def content(
        request: Request,
        video_id: str,
        variant: Literal["video", "thumbnail", "spritesheet"] = "video",
        metadata: bool = False,
    ) -> Response:
        """The clip, a still of it, or a sheet of stills.

        With `metadata` the clip is a copy that has its settings inside, its prompt too: as JSON in
        the comment of the file.
        """
        job = await off_loop(context.job, video_id, owner_of(request))
        if variant == "video":
            return await clip_answer(context, job, with_settings=metadata)
        if metadata:
            raise BadRequest(
                "Pictures of a clip hold no settings.",
                remedy="Leave metadata out, or ask for the video.",
                param="metadata",
            )
        return await still_answer(context, job, variant)

    @router.delete("/{video_id}", response_model=VideoDeleted, responses=_ERRORS)
    async def delete(request: Request, video_id: str) -> Response:
        """Forget a clip that has ended; cancel one that has not, which then is failed."""
        job = await off_loop(context.job, video_id, owner_of(request))
        call = context.service.delete if job.state.is_end else context.service.cancel
        await off_loop(call, video_id)
        return JSONResponse(
            {"id": video_id, "object": "video.deleted", "deleted": job.state.is_end}
        )

    @router.post(
        "/{video_id}/remix",
        response_model=Video,
        responses=_ERRORS,
        openapi_extra=body_of(json=RemixVideo),
    )
    async def remix(request: Request, video_id: str, idempotency_key: Key = None) -> Response:
        """The same clip with another prompt, or another seed: without one its own stays."""
        bodies.refuse_type(request, bodies.JSON)
        body = await bodies.json_of(request, RemixVideo)
        job = await off_loop(context.job, video_id, owner_of(request))
        wanted = remix_of(job, body, owner=owner_of(request) or "", key=idempotency_key)
        return answer(await accept_again(context, wanted, shown))

    @router.post("/edits", include_in_schema=False)
    @router.post("/extensions", include_in_schema=False)
    @router.post("/characters", include_in_schema=False)
    async def not_offered(request: Request) -> Response:
        """Said in the envelope, so that a client shows why."""
        raise NotOffered(
            f"This service does not offer {request.url.path}.",
            remedy="Ask for a new clip, with pictures of the old one if need be.",
        )

    return router


def _shown(context: Context, job: Job) -> dict[str, Any]:
    service = context.service
    return video_of(
        job,
        place=service.place(job) if job.state is State.QUEUED else None,
        left_s=None if job.state.is_end else service.left_s(job),
        retain_days=context.settings.retain_days,
    )
