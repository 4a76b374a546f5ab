"""The service's facade in memory: a thread ends its jobs, or the test does."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from ltx2_service.values.job import Failure, Job, State, Wanted
from ltx2_service.values.refusals import Draining, KeyTaken, NoSuchJob, QueueFull, UnknownModel
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card, Event, Page, QueueState

CLIP = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8
TAGGED = CLIP + b"its settings"
FAILS = "fail"  # a clip of this prompt fails
STAYS = "stay"  # and one of this waits for ever


@dataclass
class SmallService:
    """Jobs in memory. With `holds` each waits for `run` and `end`; else a thread ends it."""

    settings: Settings
    holds: bool = False
    drains: bool = False
    rows: dict[str, Job] = field(default_factory=dict)
    told: dict[str, list[Event]] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    wakes: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def accept(self, wanted: Wanted) -> tuple[Job, bool]:
        with self.lock:
            if self.drains:
                raise Draining
            known = tuple(model.name for model in self.settings.models)
            if wanted.model not in {None, *known}:
                raise UnknownModel(wanted.model or "", known)
            if wanted.key is not None and (wanted.owner, wanted.key) in self.keys:
                old = self.rows[self.keys[wanted.owner, wanted.key]]
                if old.wanted.prompt != wanted.prompt:
                    raise KeyTaken(wanted.key)
                return old, False
            waiting = sum(job.state is State.QUEUED for job in self.rows.values())
            if waiting >= self.settings.limits.queued:
                raise QueueFull(waiting, 7)
            job = Job(_id(wanted), _whole(wanted, known[0]), State.QUEUED, time.time(), (), "s")
            self.rows[job.id] = job
            if wanted.key is not None:
                self.keys[wanted.owner, wanted.key] = job.id
            self._tell(job.id, "queued", {"place": 0})
        if not self.holds and wanted.prompt != STAYS:
            threading.Thread(target=self._make, args=(job.id,), daemon=True).start()
        return job, True

    def job(self, job_id: str) -> Job:
        with self.lock:
            if job_id not in self.rows:
                raise NoSuchJob(job_id)
            return self.rows[job_id]

    def jobs(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        newest_first: bool = True,
        owner: str | None = None,
    ) -> Page:
        with self.lock:
            rows = [job for job in self.rows.values() if owner in {None, job.wanted.owner}]
            rows = rows[::-1] if newest_first else rows
            if after is not None:
                rows = rows[rows.index(self.job(after)) + 1 :]
            return Page(tuple(rows[:limit]), len(rows) > limit)

    def cancel(self, job_id: str) -> Job:
        job = self.job(job_id)
        if not job.state.is_end:
            self.end(job_id, Failure("cancelled", "The clip was cancelled."))
        return self.job(job_id)

    def delete(self, job_id: str) -> Job:
        with self.lock:
            job = self.job(job_id)
            assert job.state.is_end
            if job.clip:
                job.clip.unlink(missing_ok=True)
            del self.rows[job_id]
            self.keys.pop((job.wanted.owner, job.wanted.key or ""), None)
            self._wake(job_id)
            return job

    def place(self, job: Job) -> int:
        waiting = [one.id for one in self.rows.values() if one.state is State.QUEUED]
        return waiting.index(job.id) if job.id in waiting else 0

    def left_s(self, job: Job) -> float | None:
        return 2.0

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        with self.lock:
            self.job(job_id)
            return self.told[job_id][after:]

    def subscribe(self, job_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        with self.lock:
            self.wakes.setdefault(job_id, []).append(wake)

        def leave() -> None:
            with self.lock:
                self.wakes[job_id].remove(wake)

        return leave

    def thumbnail(self, job: Job) -> Path:
        return self._still(job, ".webp")

    def spritesheet(self, job: Job) -> Path:
        return self._still(job, ".jpg")

    def tagged(self, job: Job) -> Path:
        assert job.clip
        path = job.clip.with_suffix(".tagged.mp4")
        path.write_bytes(TAGGED)
        return path

    def preview(self, job_id: str) -> bytes | None:
        return b"RIFF\0\0\0\0WEBP"

    def cards(self) -> Sequence[Card]:
        return (Card(0, "A card", "gpu0", "idle", "1.2.0", ("small",), None, 2**30, 2**34),)

    def queue(self) -> QueueState:
        states = [job.state for job in self.rows.values()]
        why = "The service is stopping." if self.drains else None
        return QueueState(
            states.count(State.QUEUED), states.count(State.RUNNING), self.drains, not why, why
        )

    def run(self, job_id: str) -> None:
        with self.lock:
            self._change(
                job_id, state=State.RUNNING, started_s=time.time(), attempt=1, worker="gpu0"
            )
            self._tell(job_id, "running", {"worker": "gpu0"})

    def step(self, job_id: str, step: int, steps: int) -> None:
        with self.lock:
            self._change(job_id, stage="denoising", step=step, steps=steps)
            self._tell(job_id, "progress", {"stage": "denoising", "step": step, "steps": steps})
            self._tell(job_id, "preview", {"step": step})

    def end(self, job_id: str, failure: Failure | None = None) -> None:
        with self.lock:
            if self.job(job_id).state.is_end:
                return
            if failure:
                self._change(job_id, state=State.FAILED, ended_s=time.time(), failure=failure)
                self._tell(job_id, "failed", {"code": failure.code})
                return
            self.settings.clips.mkdir(parents=True, exist_ok=True)
            clip = self.settings.clips / f"{job_id}.mp4"
            clip.write_bytes(CLIP)
            self._change(job_id, state=State.COMPLETED, ended_s=time.time(), clip=clip, seconds=0.5)
            self._tell(job_id, "completed", {})

    def _make(self, job_id: str) -> None:
        try:
            self.run(job_id)
            self.step(job_id, 1, 2)
            fails = self.job(job_id).wanted.prompt == FAILS
            self.end(job_id, Failure("script_failed", "the script failed") if fails else None)
        except NoSuchJob:  # deleted meanwhile
            return

    def _change(self, job_id: str, **changes: object) -> None:
        self.rows[job_id] = replace(self.job(job_id), **changes)  # type: ignore[arg-type]

    def _tell(self, job_id: str, kind: str, data: dict[str, object]) -> None:
        events = self.told.setdefault(job_id, [])
        events.append(Event(len(events) + 1, job_id, kind, data))
        self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for wake in self.wakes.get(job_id, ()):
            wake()

    def _still(self, job: Job, suffix: str) -> Path:
        assert job.clip
        path = job.clip.with_suffix(suffix)
        Image.new("RGB", (16, 16)).save(path)
        return path


def _id(wanted: Wanted) -> str:
    if wanted.origin == "v1":
        return f"video_{secrets.token_hex(16)}"
    kind = "i2v" if wanted.pictures else "t2v"
    return f"{kind}_{time.strftime('%Y%m%d_%H%M%S')}_{secrets.token_hex(4)}"


def _whole(wanted: Wanted, model: str) -> Wanted:
    return replace(
        wanted,
        model=wanted.model or model,
        width=wanted.width or 768,
        height=wanted.height or 512,
        num_frames=wanted.num_frames or 121,
        frame_rate=wanted.frame_rate or 24.0,
        seed=7 if wanted.seed is None else wanted.seed,
    )
