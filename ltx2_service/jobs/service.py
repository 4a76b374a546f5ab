"""What the service does, in one place: a thin face over the parts, and the order of start and end.

Any thread may use it. A blocking call is short: a durable write takes a few milliseconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.executor import Executor
from ltx2_service.boundaries.store import Store
from ltx2_service.jobs.accept import accept
from ltx2_service.jobs.dispatching import Dispatcher, Parts
from ltx2_service.jobs.line import Line
from ltx2_service.jobs.listeners import Listeners, Wake
from ltx2_service.jobs.previews import Previews
from ltx2_service.jobs.retaining import UPLOADS, delete, drop_uploads, retain, sweep
from ltx2_service.jobs.showing import Showing
from ltx2_service.values.job import Job, State, Wanted
from ltx2_service.values.judged import Judge
from ltx2_service.values.refusals import Draining, NoSuchJob, UnknownCard
from ltx2_service.values.settings import Settings
from ltx2_service.values.told import Card, Event, Page, QueueState

_LOG = logging.getLogger(__name__)
_RETAIN_S = 3600.0  # between two looks for what is old
_JUMP_S = 3600.0  # that the clock may be set by, for clips to be removed by what it says
_POLL_S = 0.05  # while a service ends

_UP = frozenset({"idle", "running"})  # states of a card on which clips are made

DATABASE = "jobs.sqlite3"  # in the state folder


class Service:
    """The service over one state folder; `start` it before anything else is asked."""

    def __init__(
        self,
        settings: Settings,
        executor: Executor,
        judge: Judge,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._executor = executor
        self._judge = judge
        self._clock = clock
        self._clips = Clips(settings.clips.absolute())
        self._store = Store(settings.state / DATABASE, self._clips.root)
        self._uploads = settings.shared / UPLOADS
        self._listeners = Listeners()
        self._previews = Previews()
        self._showing = Showing(settings, self._clips)
        self._line = Line(self._store, executor.cards, clock)
        self._dispatcher = Dispatcher(
            Parts(
                settings,
                self._store,
                self._clips,
                executor,
                judge,
                self._line,
                self._listeners,
                self._previews,
                clock,
            )
        )
        self._draining = False
        self._ended = threading.Event()
        self._retaining = threading.Thread(target=self._retain, name="retaining", daemon=True)

    def start(self) -> None:
        """Find the workers, adopt what they run, and go on with what waits.

        Raises: OutsideError.
        """
        self._executor.start(self._dispatcher.told)
        self._dispatcher.start()
        sweep(self._store, self._clips)
        self._retaining.start()

    def drain(self) -> None:
        """No more jobs are accepted, and none is begun; those that run go on."""
        self._draining = True
        self._dispatcher.pause()

    def stop(self, drain_s: float) -> None:
        """Clips under way have so much time to end; those that do not wait for the next start, as
        do queued ones. The workers are gone then.
        """
        self.drain()
        end_s = time.monotonic() + drain_s
        while self._store.counts().running and time.monotonic() < end_s:
            time.sleep(_POLL_S)
        self._dispatcher.give_up()
        self._executor.stop(max(0.0, end_s - time.monotonic()))
        self._end()
        self._dispatcher.release()
        self._store.close()

    def leave(self) -> None:
        """The service ends, and its workers go on: the next one finds them."""
        self.drain()
        self._end()
        self._executor.leave()
        self._store.close()

    def accept(self, wanted: Wanted) -> tuple[Job, bool]:
        """The job that is made of it, and whether that is new: not where the same request came
        under its Idempotency-Key before.

        Raises: Draining, NoWorker, QueueFull, KeyTaken, UnknownModel, UnknownCard; what the gate
        raises; OutsideError where the disk does not take it.
        """
        if self._draining:
            raise Draining
        self._check_card(wanted.gpu)
        job, new = accept(
            wanted,
            settings=self.settings,
            store=self._store,
            judge=self._judge,
            now_s=self._clock(),
            next_free_s=self._line.next_free_s,
            has_worker=self._has_worker,
        )
        if new:
            prompt = f": {job.wanted.prompt!r}" if self.settings.logs_prompts else ""
            _LOG.info("%s accepted, of %s%s", job.id, job.wanted.model, prompt)
            self._line.changed()
            self._dispatcher.wake()
        else:
            kept = {picture.path for picture in job.wanted.pictures}
            again = {picture.path for picture in wanted.pictures}
            drop_uploads(again - kept, self._uploads)
        return job, new

    def job(self, id: str) -> Job:  # noqa: A002 - what both APIs call it
        """The job of that id. Raises: NoSuchJob."""
        if (job := self._store.job(id)) is None:
            raise NoSuchJob(id)
        return job

    def jobs(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        newest_first: bool = True,
        owner: str | None = None,
    ) -> Page:
        """So many jobs behind that of the id `after`, in the order of their acceptance; of one
        owner, or of all.

        Raises: NoSuchJob where `after` is none.
        """
        found = self._store.jobs(
            after=after, limit=limit + 1, newest_first=newest_first, owner=owner
        )
        return Page(found[:limit], len(found) > limit)

    def cancel(self, id: str) -> Job:  # noqa: A002
        """The job, which has failed if it waited, is asked to end if it runs, and else is as it
        was. Raises: NoSuchJob.
        """
        claim = self._store.cancel(id, self._clock())
        if claim is None:
            raise NoSuchJob(id)
        if claim.job.state is State.RUNNING:
            self._executor.cancel(id, claim.token)
        self._line.changed()
        self._listeners.wake(id)
        self._dispatcher.wake()
        return claim.job

    def delete(self, id: str) -> Job:  # noqa: A002
        """The job as it was: one that had ended is gone with its files, another is cancelled.

        Raises: NoSuchJob.
        """
        job = self.job(id)
        if not job.state.is_end:
            return self.cancel(id)
        if not delete(job, self._store, self._clips, self._uploads):
            raise NoSuchJob(id)
        self._listeners.wake(id)
        return job

    def place(self, job: Job) -> int:
        """How many clips are taken before a queued job; 0 of any other."""
        return self._line.place(job.id) or 0

    def left_s(self, job: Job) -> float | None:
        """Seconds until a job ends, by what others took; None where nothing tells."""
        return self._line.left_s(job)

    def events(self, id: str, after: int = 0) -> list[Event]:  # noqa: A002
        """What happened to a job since its event of that number; of progress, places and previews
        the last alone is kept. Raises: NoSuchJob.
        """
        found = list(self._store.events(id, after))
        if not found:
            self.job(id)
        return found

    def subscribe(self, id: str, wake: Wake) -> Wake:  # noqa: A002
        """`wake` is called, in any thread, when there is more; returns the way to end that."""
        return self._listeners.subscribe(id, wake)

    def thumbnail(self, job: Job) -> Path:
        """The first picture of a finished clip, WEBP. Raises: NoPicture, OutsideError."""
        return self._showing.thumbnail(job)

    def spritesheet(self, job: Job) -> Path:
        """Sixteen pictures of a finished clip, JPEG. Raises: NoPicture, OutsideError."""
        return self._showing.spritesheet(job)

    def tagged(self, job: Job) -> Path:
        """A copy of a finished clip with its settings inside. Raises: NoPicture, OutsideError."""
        return self._showing.tagged(job)

    def preview(self, id: str) -> bytes | None:  # noqa: A002
        """The picture of a running clip as it forms, WEBP; None where there is none."""
        return self._previews.picture(id)

    def cards(self) -> Sequence[Card]:
        """Each worker's card as it is now."""
        return self._executor.cards()

    def queue(self) -> QueueState:
        """Whether clips are taken and made."""
        counts = self._store.counts()
        why_not = self._why_not()
        return QueueState(counts.waiting, counts.running, self._draining, why_not is None, why_not)

    def _why_not(self) -> str | None:
        if self._draining:
            return "The service is stopping."
        if (trouble := self._executor.trouble()) is not None:
            return trouble
        cards = self._executor.cards()
        # One that starts with a clip in hand is up: what renders it is what starts.
        if any(card.state in _UP or (card.state == "starting" and card.job) for card in cards):
            return None
        return "The workers are starting." if self._has_worker() else "No worker is up."

    def _has_worker(self) -> bool:
        """Whether one is up or comes up; one that stops makes way for another."""
        return any(card.state != "lost" for card in self._executor.cards())

    def _check_card(self, gpu: int | None) -> None:
        known = self.settings.gpus or tuple(card.index for card in self._executor.cards())
        if gpu is not None and known and gpu not in known:
            raise UnknownCard(gpu, known)

    def _end(self) -> None:
        self._ended.set()
        try:
            self._dispatcher.stop()
        except OutsideError as error:  # the spool keeps what could not be settled
            _LOG.error("%s; %s", error, error.remedy)
        if self._retaining.ident is not None:
            self._retaining.join()

    def _retain(self) -> None:
        set_s = self._clock() - time.monotonic()
        while not self._ended.is_set():
            now_s = self._clock()
            try:
                if abs(now_s - time.monotonic() - set_s) < _JUMP_S:
                    days = self.settings.retain_days
                    retain(self._store, self._clips, self._uploads, days=days, now_s=now_s)
                else:
                    _LOG.warning("the clock has jumped: until a restart no old clip is removed")
            except OutsideError as error:
                _LOG.error("%s; %s", error, error.remedy)
            self._ended.wait(_RETAIN_S)
