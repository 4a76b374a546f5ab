"""The user's own API: it answers once the clip is done."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import FileResponse, JSONResponse, Response

from ltx2_service.boundaries.image_root import read_below
from ltx2_service.http import bodies, errors
from ltx2_service.http.context import Context, off_loop, owner_of
from ltx2_service.http.documents import body_of
from ltx2_service.http.files import clip_answer
from ltx2_service.http.pictures import accept
from ltx2_service.http.waiting import wait_for_end
from ltx2_service.rules.faults import fault_of_failure
from ltx2_service.rules.own_words import (
    Generated,
    Health,
    ImageToVideo,
    Listing,
    Refused,
    TextToVideo,
    UploadToVideo,
    generated,
    listed,
    still_waits,
    wanted_of,
)
from ltx2_service.rules.words import Reference, Sent
from ltx2_service.values.job import Job
from ltx2_service.values.request_faults import BadRequest

_ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Refused}, "5XX": {"model": Refused}}
_CLIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}
}
MODELS = (TextToVideo, ImageToVideo, UploadToVideo)
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


def routes(context: Context) -> APIRouter:
    """/health, /generate/..., /download/... and /list."""
    router = APIRouter(tags=["own"])
    service, settings = context.service, context.settings

    async def made(
        request: Request, body: TextToVideo, key: str | None, *references: Reference
    ) -> Response:
        wanted = wanted_of(body, owner=owner_of(request) or "", key=key)
        job_id = await accept(context, lambda: (wanted, references), lambda job: job.id)
        job = await wait_for_end(context, job_id, request, settings.limits.wait_s)
        return _answer(request, job)

    @router.get("/health", response_model=Health)
    async def health() -> Response:
        """That the service answers, always; whether it can make clips is in `ready`."""
        queue, cards = await off_loop(service.queue), await off_loop(service.cards)
        return JSONResponse(
            {
                "status": "healthy",
                "ready": queue.ready,
                "message": queue.why_not or "The service takes clips.",
                "gpus": [
                    {"gpu_id": card.index, "name": card.name, "state": card.state} for card in cards
                ],
                "models": [model.name for model in settings.models],
                "queued": queue.waiting,
                "running": queue.running,
            }
        )

    @router.post(
        "/generate/text2video",
        response_model=Generated,
        responses=_ERRORS,
        openapi_extra=body_of(json=TextToVideo),
    )
    async def text2video(request: Request, idempotency_key: Key = None) -> Response:
        """A clip of a prompt."""
        bodies.refuse_type(request, bodies.JSON)
        return await made(request, await bodies.json_of(request, TextToVideo), idempotency_key)

    @router.post(
        "/generate/image2video",
        response_model=Generated,
        responses=_ERRORS,
        openapi_extra=body_of(json=ImageToVideo),
    )
    async def image2video(request: Request, idempotency_key: Key = None) -> Response:
        """A clip that begins with a picture of this machine, below the settings' image_root."""
        bodies.refuse_type(request, bodies.JSON)
        body = await bodies.json_of(request, ImageToVideo)
        if settings.image_root is None:
            raise BadRequest(
                "Pictures by path are off here.",
                remedy="Upload the picture to /generate/image2video/upload.",
                param="image_path",
            )
        limit = settings.limits.body_bytes
        data = await off_loop(read_below, settings.image_root, body.image_path, limit)
        return await made(request, body, idempotency_key, Reference(Sent(data), "image_path"))

    @router.post(
        "/generate/image2video/upload",
        response_model=Generated,
        responses=_ERRORS,
        openapi_extra=body_of(form=UploadToVideo),
    )
    async def upload(request: Request, idempotency_key: Key = None) -> Response:
        """A clip that begins with a picture that comes along."""
        bodies.refuse_type(request, bodies.FORM)
        body = await bodies.form_of(request, UploadToVideo)
        return await made(request, body, idempotency_key, Reference(body.image, "image"))

    @router.get("/download/{task_id}", response_class=FileResponse, responses={**_CLIP, **_ERRORS})
    async def download(request: Request, task_id: str, metadata: bool = False) -> Response:
        """The clip of a task; with `metadata` a copy that has its settings inside."""
        job = await off_loop(context.job, task_id, owner_of(request))
        return await clip_answer(context, job, with_settings=metadata)

    @router.get("/list", response_model=Listing, responses=_ERRORS)
    async def list_clips(
        request: Request,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """The clips, newest first, from behind the task `after`."""
        page = await off_loop(service.jobs, after=after, limit=limit, owner=owner_of(request))
        videos = [listed(job) for job in page.jobs]
        return JSONResponse(
            {
                "success": True,
                "count": len(videos),
                "has_more": page.has_more,
                "videos": videos,
            }
        )

    return router


def _answer(request: Request, job: Job) -> Response:
    """A clip that is done, or why it is not."""
    path = request.url.path
    if job.failure:
        return errors.answer(path, fault_of_failure(job.id, job.failure))
    if not job.state.is_end:
        return errors.answer(path, still_waits(job))
    return JSONResponse(generated(job))
