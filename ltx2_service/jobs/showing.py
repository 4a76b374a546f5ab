"""What is made of finished clips when it is asked for, once, and kept beside them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ltx2_patcher.boundaries.store import Store as Toolkit
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.stills import make_spritesheet, make_thumbnail
from ltx2_service.boundaries.tagging import make_tagged
from ltx2_service.rules.clip_settings import settings_of
from ltx2_service.values.job import Job
from ltx2_service.values.refusals import NoPicture
from ltx2_service.values.settings import Settings


class Showing:
    """Pictures and tagged copies; any thread may ask, and one is made at a time."""

    def __init__(self, settings: Settings, clips: Clips) -> None:
        self._settings = settings
        self._clips = clips
        self._lock = threading.Lock()

    def thumbnail(self, job: Job) -> Path:
        """The first picture of a clip, WEBP. Raises: NoPicture without a clip; OutsideError."""
        clip = _clip(job)
        return self._made(job, clip, self._clips.thumbnail(clip), make_thumbnail)

    def spritesheet(self, job: Job) -> Path:
        """A sheet of a clip's pictures, JPEG. Raises: NoPicture without a clip; OutsideError."""
        clip = _clip(job)
        return self._made(job, clip, self._clips.spritesheet(clip), make_spritesheet)

    def tagged(self, job: Job) -> Path:
        """A copy of a clip with its settings inside. Raises: NoPicture, OutsideError."""
        clip = _clip(job)
        comment = json.dumps(settings_of(job), ensure_ascii=False)
        make = partial(make_tagged, comment=comment)
        return self._made(job, clip, self._clips.tagged(clip), make)

    def _made(
        self, job: Job, clip: Path, place: Path, make: Callable[[Path, Path, Path], None]
    ) -> Path:
        with self._lock:
            if not place.is_file():
                make(self._python(job), clip, place)
        return place

    def _python(self, job: Job) -> Path:
        """Of the environment of the job's model, or of the first where that is served no more."""
        model = self._settings.model(job.wanted.model) or self._settings.models[0]
        toolkit = Toolkit(self._settings.tree)
        return environment_python(toolkit, toolkit.base(model.base))


def _clip(job: Job) -> Path:
    if job.clip is None or not job.clip.is_file():
        raise NoPicture(job.id, f"it is {job.state.value}, and no file of it is kept")
    return job.clip
