"""OpenAI's videos, word by word: bodies to what is wanted, jobs to video objects.

Its own fields are all here. What it has no word for comes beside them, as `extra_body` of its
client: seed, num_frames, frame_rate, negative_prompt, num_inference_steps, images, enhance, gpu_id,
priority. All text, so that one model reads JSON and forms: a form is read leniently, JSON strictly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ltx2_service.rules.clip_size import FRAME_RATE, frames_of, parse_size, seconds_shown
from ltx2_service.rules.faults import Fault
from ltx2_service.rules.words import (
    File,
    Frames,
    Rate,
    Reference,
    Seed,
    Steps,
    Text,
    Whole,
    drawn,
    pinned,
)
from ltx2_service.values.job import Job, State, Wanted
from ltx2_service.values.request_faults import BadRequest

_SECONDS = r"^\d{1,4}(\.\d{1,3})?$"
_SIZE = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"
_DAY_S = 86_400.0
_MOST_POLL_MS = 5000
_LEAST_POLL_MS = 250
_POLLS = 20  # of a clip, about


class ImageUrl(BaseModel):
    """A picture as a data: URL."""

    model_config = ConfigDict(extra="forbid", strict=True)
    image_url: str


class ImageAt(ImageUrl):
    """A picture, and where the clip passes through it."""

    frame: Annotated[Whole, Field(ge=0, le=100_000)] = 0
    strength: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0


class CreateVideo(BaseModel):
    """A clip that is asked for in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompt: Text
    model: str | None = None
    seconds: (
        Annotated[str, Field(pattern=_SECONDS)]
        | Annotated[float, Field(gt=0, le=9999, allow_inf_nan=False)]
        | None
    ) = None
    size: Annotated[str, Field(pattern=_SIZE)] | None = None
    input_reference: ImageUrl | None = None
    seed: Seed | None = None
    num_frames: Frames | None = None
    frame_rate: Rate | None = None
    negative_prompt: Text | None = None
    num_inference_steps: Steps | None = None
    images: list[ImageAt] | None = None
    enhance: bool = False
    gpu_id: Annotated[Whole, Field(ge=-1, le=1023)] | None = None
    priority: Annotated[Whole, Field(ge=-100, le=100)] = 0


class FileAt(BaseModel):
    """A file of a form, or a data: URL, and where the clip passes through it."""

    model_config = ConfigDict(extra="forbid")
    image: File | None = None
    image_url: str | None = None
    frame: Annotated[Whole, Field(ge=0, le=100_000)] = 0
    strength: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0


class FormUrl(BaseModel):
    """`input_reference[image_url]` of a form."""

    model_config = ConfigDict(extra="forbid")
    image_url: str


class CreateVideoForm(CreateVideo):
    """A clip that is asked for by a form, with files."""

    model_config = ConfigDict(extra="forbid", strict=False)
    # A form brings files where JSON has addresses; pydantic lets a subclass have other types.
    input_reference: File | FormUrl | None = None  # type: ignore[assignment]
    images: list[FileAt] | None = None  # type: ignore[assignment]


class RemixVideo(BaseModel):
    """The same clip with another prompt, or with another seed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompt: Text
    seed: Seed | None = None  # without it the clip's own; -1 is random


class Fail(BaseModel):
    """Why a clip failed."""

    code: str
    message: str


class Video(BaseModel):
    """A clip, as OpenAI's client knows it, with the settings that made it beside."""

    id: str
    object: Literal["video"] = "video"
    created_at: int
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    model: str
    seconds: str
    size: str
    completed_at: int | None
    expires_at: int | None
    error: Fail | None
    prompt: str
    remixed_from_video_id: str | None
    negative_prompt: str | None
    seed: int | None
    num_frames: int | None
    frame_rate: float | None
    num_inference_steps: int | None
    enhance: bool
    gpu_id: int | None
    priority: int
    pictures: list[dict[str, float]]
    attempt: int
    worker: str | None
    stage: str
    place: int | None  # in the queue; 0 is next
    seconds_left: float | None
    seconds_taken: float | None


class VideoList(BaseModel):
    """A page of clips."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """Whether a clip is gone; one that had not ended is cancelled first, and still there."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool


class ErrorBody(BaseModel):
    """What is wrong, for programs and people."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """OpenAI's envelope of an error."""

    error: ErrorBody


def references_of(body: CreateVideo) -> tuple[Reference, ...]:
    """The pictures that a body names. Raises: BadRequest."""
    found = []
    if body.input_reference is not None:
        given: Any = body.input_reference
        source = given.image_url if isinstance(given, ImageUrl | FormUrl) else given
        found.append(Reference(source, "input_reference"))
    for at, one in enumerate(body.images or ()):
        file = one.image if isinstance(one, FileAt) else None
        source = file or one.image_url
        if source is None:
            raise BadRequest(
                f"'images[{at}]' has no picture.",
                remedy="Send it as image (a file of a form) or image_url (a data: URL).",
                param="images",
            )
        found.append(Reference(source, f"images[{at}]", one.frame, one.strength))
    if len({one.frame for one in found}) < len(found):
        raise BadRequest(
            "Two pictures lie at one frame of the clip.",
            remedy="Give each another frame; 'input_reference' lies at frame 0.",
            param="images",
        )
    return tuple(found)


def wanted_of(body: CreateVideo, *, owner: str, key: str | None) -> Wanted:
    """The clip that a body asks for, still without its pictures. Raises: BadRequest."""
    width, height = parse_size(body.size) if body.size else (None, None)
    frame_rate, num_frames, echo = body.frame_rate, body.num_frames, {}
    if body.seconds is not None:
        if num_frames is not None:
            raise BadRequest(
                "'seconds' and 'num_frames' both say how long the clip is.",
                remedy="Send one of them.",
                param="seconds",
            )
        seconds = float(body.seconds)
        if not seconds:
            raise BadRequest(
                "A clip of 0 seconds is none.", remedy="Ask for more.", param="seconds"
            )
        frame_rate = frame_rate or FRAME_RATE
        num_frames = frames_of(seconds, frame_rate)
        echo["seconds"] = f"{body.seconds}".removesuffix(".0")
    return Wanted(
        prompt=body.prompt,
        model=body.model,
        negative_prompt=body.negative_prompt,
        width=width,
        height=height,
        num_frames=num_frames,
        frame_rate=frame_rate,
        seed=drawn(body.seed),
        steps=body.num_inference_steps,
        enhance_prompt=body.enhance,
        priority=body.priority,
        gpu=pinned(body.gpu_id),
        owner=owner,
        key=key,
        origin="v1",
        echo=echo,
    )


def remix_of(job: Job, body: RemixVideo, *, owner: str, key: str | None) -> Wanted:
    """The clip of a job with another prompt or seed: all else, the pictures too, as it was."""
    return replace(
        job.wanted,
        prompt=body.prompt,
        seed=job.wanted.seed if body.seed is None else drawn(body.seed),
        owner=owner,
        key=key,
        origin="v1",
        remixed_from=job.id,
    )


def video_of(
    job: Job, *, place: int | None, left_s: float | None, retain_days: float
) -> dict[str, Any]:
    """A job as a video object. A cancelled one is failed, for another status would end polling."""
    wanted, failure = job.wanted, job.failure
    done = job.state is State.COMPLETED
    ended = job.ended_s if done else None
    return {
        "id": job.id,
        "object": "video",
        "created_at": int(job.created_s),
        "status": "in_progress" if job.state is State.RUNNING else job.state.value,
        "progress": progress_of(job),
        "model": wanted.model or "",
        "seconds": seconds_of(wanted),
        "size": f"{wanted.width}x{wanted.height}" if wanted.width and wanted.height else "",
        "completed_at": None if ended is None else int(ended),
        "expires_at": None if ended is None else int(ended + retain_days * _DAY_S),
        "error": {"code": failure.code, "message": failure.message} if failure else None,
        "prompt": wanted.prompt,
        "remixed_from_video_id": wanted.remixed_from,
        "negative_prompt": wanted.negative_prompt,
        "seed": wanted.seed,
        "num_frames": wanted.num_frames,
        "frame_rate": wanted.frame_rate,
        "num_inference_steps": wanted.steps,
        "enhance": wanted.enhance_prompt,
        "gpu_id": wanted.gpu,
        "priority": wanted.priority,
        "pictures": [{"frame": one.frame, "strength": one.strength} for one in wanted.pictures],
        "attempt": job.attempt,
        "worker": job.worker,
        "stage": job.stage,
        "place": place,
        "seconds_left": left_s,
        "seconds_taken": job.seconds,
    }


def progress_of(job: Job) -> int:
    """Percent: 100 is a clip that can be downloaded."""
    if job.state is State.COMPLETED:
        return 100
    if job.state is State.QUEUED or not job.steps:
        return 0
    return max(0, min(99, 100 * job.step // job.steps))


def seconds_of(wanted: Wanted) -> str:
    """How long the clip is: as it was asked for, or as its frames say."""
    if (asked := wanted.echo.get("seconds")) is not None:
        return str(asked)
    if wanted.num_frames and wanted.frame_rate:
        return seconds_shown(wanted.num_frames, wanted.frame_rate)
    return ""


def poll_after_ms(left_s: float | None) -> int:
    """When it is worth asking again for a clip that will take so long."""
    if left_s is None:
        return 1000
    return round(max(_LEAST_POLL_MS, min(_MOST_POLL_MS, 1000 * left_s / _POLLS)))


def envelope(fault: Fault) -> dict[str, Any]:
    """A fault as OpenAI's client reads it."""
    kind = "server_error" if fault.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": fault.message,
            "type": "rate_limit_error" if fault.status == 429 else kind,
            "param": fault.param,
            "code": fault.code,
        }
    }


def headers_of(fault: Fault) -> dict[str, str]:
    """Headers of an answer in the envelope: only what may do later is worth trying again."""
    again = fault.status in {408, 429} or fault.status >= 500
    return {**fault.headers, **({} if again else {"x-should-retry": "false"})}
