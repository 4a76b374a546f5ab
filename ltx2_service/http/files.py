"""Clips and stills, sent as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from anyio.to_thread import run_sync
from starlette.responses import FileResponse

from ltx2_service.http.context import Context, off_loop
from ltx2_service.values.job import Job, State
from ltx2_service.values.refusals import NoPicture

_TYPES = {
    ".mp4": "video/mp4",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}


def _clip_of(job: Job) -> Path:
    """The file of a completed job. Raises: NoPicture."""
    if job.state is not State.COMPLETED:
        said = job.failure.message if job.failure else f"it is {job.state.value}"
        raise NoPicture(job.id, said)
    if job.clip is None or not job.clip.is_file():
        raise NoPicture(job.id, "it was kept as long as the settings say")
    return job.clip


async def clip_answer(context: Context, job: Job, *, with_settings: bool) -> FileResponse:
    """The clip of a completed job, or a copy that has its settings inside. Raises: PatcherError."""
    clip = await off_loop(_clip_of, job)
    if with_settings:
        clip = await _made(context, context.service.tagged, job)
    return _file_answer(clip, name=f"{job.id}.mp4")


async def still_answer(
    context: Context, job: Job, variant: Literal["thumbnail", "spritesheet"]
) -> FileResponse:
    """A picture of a completed job's clip. Raises: PatcherError."""
    await off_loop(_clip_of, job)
    service = context.service
    make = service.thumbnail if variant == "thumbnail" else service.spritesheet
    return _file_answer(await _made(context, make, job))


async def _made(context: Context, make: Callable[[Job], Path], job: Job) -> Path:
    """What takes seconds where it is not there yet: many at once take no threads from others."""
    return await run_sync(make, job, limiter=context.making)


def _file_answer(path: Path, name: str | None = None) -> FileResponse:
    """A file whole or in ranges; a clip of an id never changes, so browsers may keep it."""
    return FileResponse(
        path,
        media_type=_TYPES[path.suffix],
        filename=name,
        content_disposition_type="inline",
        stat_result=path.stat(),
        headers={"Cache-Control": "private, max-age=3600"},
    )
