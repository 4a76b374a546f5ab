"""A wanted clip becomes a job: judged, every number filled in, and durable."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_service.boundaries.store import Store
from ltx2_service.rules.estimate import tokens_of
from ltx2_service.rules.names import new_id
from ltx2_service.rules.wanted_text import digest_of
from ltx2_service.values.job import Job, State, Wanted
from ltx2_service.values.judged import Judge, Judged
from ltx2_service.values.refusals import NoWorker, QueueFull, UnknownModel
from ltx2_service.values.settings import Settings

_SEEDS = 2**31  # as many as every client's whole numbers hold


def accept(
    wanted: Wanted,
    *,
    settings: Settings,
    store: Store,
    judge: Judge,
    now_s: float,
    next_free_s: Callable[[], float],
    has_worker: Callable[[], bool],
) -> tuple[Job, bool]:
    """The job, and whether it is new: a key that came with the same request before has made it.

    What a client of the user's own API waits for is taken only where a worker is up or comes up:
    else it would be held for nothing, and ask again for what waits already.

    Raises: KeyTaken, NoWorker, UnknownModel, QueueFull; what the judge raises; OutsideError where
    the disk does not take it.
    """
    body = digest_of(wanted, [_content(picture.path) for picture in wanted.pictures])
    if wanted.key is not None and (first := store.of_key(wanted.owner, wanted.key, body)):
        return first, False
    if wanted.origin == "own" and not has_worker():
        raise NoWorker
    model = settings.model(wanted.model)
    if model is None:
        known = tuple(model.name for model in settings.models)
        raise UnknownModel(str(wanted.model), known)
    seed = secrets.randbelow(_SEEDS) if wanted.seed is None else wanted.seed
    wanted = replace(wanted, model=model.name, seed=seed)
    judged = judge(wanted)
    wanted = filled_in(wanted, judged)
    job = Job(
        id=new_id(wanted, now_s, secrets.token_hex),
        wanted=wanted,
        state=State.QUEUED,
        created_s=now_s,
        argv=judged.argv,
        series=judged.series,
    )
    warnings = [{"fact": one.fact, "remedy": one.remedy} for one in judged.warnings]
    accepted = store.accept(
        job,
        body=body,
        tokens=tokens_of(wanted),
        most=settings.limits.queued,
        data={"attempt": 0, "warnings": warnings},
    )
    if accepted is None:
        raise QueueFull(settings.limits.queued, next_free_s())
    return accepted


def filled_in(wanted: Wanted, judged: Judged) -> Wanted:
    """The wanted clip with the numbers that the gate was given for it."""
    return replace(
        wanted,
        seed=judged.seed,
        width=judged.width,
        height=judged.height,
        num_frames=judged.num_frames,
        frame_rate=judged.frame_rate,
    )


def _content(path: Path) -> str:
    with translated(path, reading=True), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
