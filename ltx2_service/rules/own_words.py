"""The user's own API, word by word."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ltx2_service.rules.faults import Fault
from ltx2_service.rules.words import File, Frames, Rate, Seed, Side, Text, Whole, drawn, pinned
from ltx2_service.values.job import Job, State, Wanted


class TextToVideo(BaseModel):
    """A clip of a prompt."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompt: Text
    height: Side = 512
    width: Side = 768
    num_frames: Frames = 25
    frame_rate: Rate = 25.0
    seed: Seed = 42
    gpu_id: Annotated[Whole, Field(ge=-1, le=7)] | None = None


class ImageToVideo(TextToVideo):
    """A clip of a prompt that begins with a picture of this machine."""

    image_path: Annotated[str, Field(min_length=1, max_length=4096)]


class UploadToVideo(TextToVideo):
    """A clip of a prompt that begins with a picture that comes along."""

    model_config = ConfigDict(extra="forbid", strict=False)
    image: File


class Generated(BaseModel):
    """A clip that is done."""

    success: bool = True
    task_id: str
    video_path: str
    video_url: str
    duration: float  # seconds that making it took
    message: str


class Refused(BaseModel):
    """Why there is no clip: a code for programs and a sentence for people."""

    success: bool = False
    task_id: str | None
    code: str
    message: str


class Listed(BaseModel):
    """A clip of the list."""

    task_id: str
    status: str
    created_at: float
    video_path: str | None
    video_url: str | None
    duration: float | None
    message: str


class Listing(BaseModel):
    """The clips, newest first."""

    success: bool = True
    count: int
    has_more: bool
    videos: list[Listed]


class Health(BaseModel):
    """That the service answers, and what it has."""

    status: str
    ready: bool
    message: str
    gpus: list[dict[str, Any]]
    models: list[str]
    queued: int
    running: int


def wanted_of(body: TextToVideo, *, owner: str, key: str | None) -> Wanted:
    """The clip that a body asks for, still without its picture."""
    return Wanted(
        prompt=body.prompt,
        width=body.width,
        height=body.height,
        num_frames=body.num_frames,
        frame_rate=body.frame_rate,
        seed=drawn(body.seed),
        gpu=pinned(body.gpu_id),
        owner=owner,
        key=key,
        origin="own",
    )


def generated(job: Job) -> dict[str, Any]:
    """The answer for a clip that is done, which holds the path that it has on this machine."""
    return {
        "success": True,
        "task_id": job.id,
        "video_path": str(job.clip),
        "video_url": _url(job),
        "duration": round(job.seconds or 0.0, 2),
        "message": "The clip is done.",
    }


_MESSAGES = {
    State.QUEUED: "The clip waits.",
    State.RUNNING: "The clip is being made.",
    State.COMPLETED: "The clip is done.",
}


def listed(job: Job) -> dict[str, Any]:
    """A job as the list shows it."""
    message = job.failure.message if job.failure else _MESSAGES.get(job.state, "The clip failed.")
    if job.state is State.COMPLETED and job.clip is None:
        message = "The clip was kept as long as the settings say, and is gone."
    return {
        "task_id": job.id,
        "status": job.state.value,
        "created_at": job.created_s,
        "video_path": None if job.clip is None else str(job.clip),
        "video_url": None if job.clip is None else _url(job),
        "duration": None if job.seconds is None else round(job.seconds, 2),
        "message": message,
    }


def still_waits(job: Job) -> Fault:
    """A clip that is not done when its request has to end: it is made all the same."""
    return Fault(
        504,
        "still_waits",
        f"{_MESSAGES[job.state]} It is made all the same: get it from {_url(job)}, /list shows it.",
        job=job.id,
    )


def refused(fault: Fault) -> dict[str, Any]:
    """A fault as this API says it."""
    return {
        "success": False,
        "task_id": fault.job,
        "code": fault.code,
        "message": fault.message,
    }


def _url(job: Job) -> str:
    return f"/download/{job.id}"
