"""Workers that are threads: each writes a small file for a clip, as the prompt tells it.

It stays up while services come and go, as worker processes do: what ended while nobody listened is
told to the next one that starts.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.executor import Assignment, Told
from ltx2_service.values.job import Failure
from ltx2_service.values.told import Card, Ended, Progress

STEPS = 3


@dataclass
class Hand:
    """An attempt that a worker has."""

    assignment: Assignment
    cancelled: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


class FakeExecutor:
    """`holds` keeps each clip unfinished until `let_go`; `dies_of` names words of a prompt at which
    a worker is lost. A clip has `clip_bytes` at least.
    """

    clip_bytes = 0

    def __init__(self, gpus: int = 1, *, holds: bool = False, dies_of: str = "\0") -> None:
        self.holds = holds
        self.dies_of = dies_of
        self.troubled: str | None = None
        self.unreachable: set[str] = set()
        self.lost = False  # no worker is up
        self._stops = False
        self.assigned: deque[Assignment] = deque(maxlen=100)  # the latest
        self.ends_settled: deque[tuple[str, int]] = deque(maxlen=100)  # the latest
        self._lock = threading.Lock()
        self._told: Told | None = None
        self._hands: dict[str, Hand | None] = {f"gpu{index}": None for index in range(gpus)}
        self._warm: dict[str, tuple[str, ...]] = {}
        self._spool: dict[tuple[str, int], tuple[str, Ended]] = {}
        self._work: SimpleQueue[tuple[str, Hand] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(gpus)]
        for thread in self._threads:
            thread.start()

    def start(self, told: Told) -> None:
        with self._lock:
            self._told = told
            spool = dict(self._spool)
        for (job, token), (_, ended) in spool.items():
            told(job, token, ended)

    def trouble(self) -> str | None:
        return self.troubled

    def cards(self) -> Sequence[Card]:
        with self._lock:
            return [
                Card(
                    index,
                    "fake",
                    worker,
                    "lost" if self.lost else "running" if hand else "idle",
                    "1.2.0",
                    self._warm.get(worker, ()),
                    hand.assignment.job if hand else None,
                )
                for index, (worker, hand) in enumerate(self._hands.items())
            ]

    def running(self) -> Sequence[tuple[str, int, str]]:
        with self._lock:
            hands = [
                (hand.assignment.job, hand.assignment.token, worker)
                for worker, hand in self._hands.items()
                if hand
            ]
            return hands + [(*attempt, worker) for attempt, (worker, _) in self._spool.items()]

    def assign(self, worker: str, assignment: Assignment) -> None:
        if worker in self.unreachable:
            raise OutsideError(f"{worker} does not answer", remedy="look at its log")
        with self._lock:
            assert self._hands[worker] is None, "one attempt a worker"
            hand = self._hands[worker] = Hand(assignment)
            self._warm[worker] = (assignment.model,)
            self.assigned.append(assignment)
        self._work.put((worker, hand))

    def cancel(self, job: str, token: int) -> None:
        with self._lock:
            for hand in self._hands.values():
                if hand and (hand.assignment.job, hand.assignment.token) == (job, token):
                    hand.cancelled.set()
                    hand.go.set()

    def settled(self, job: str, token: int) -> None:
        with self._lock:
            self.ends_settled.append((job, token))
            self._spool.pop((job, token), None)

    def stop(self, drain_s: float) -> None:
        """What is in hand is lost, and told to be."""
        self._stops = True
        for hand in list(self._hands.values()):
            if hand:
                hand.cancelled.set()
                hand.go.set()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(10)
        self.leave()

    def leave(self) -> None:
        with self._lock:
            self._told = None

    def let_go(self) -> None:
        """All clips under way may end, and those that come."""
        self.holds = False
        with self._lock:
            for hand in self._hands.values():
                if hand:
                    hand.go.set()

    def forget(self, job: str) -> None:
        """A worker is gone without a word, with the attempt that it had."""
        with self._lock:
            for worker, hand in self._hands.items():
                if hand and hand.assignment.job == job:
                    hand.cancelled.set()
                    hand.go.set()
                    self._hands[worker] = None

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            worker, hand = work
            ended = self._make(hand)
            job, token = hand.assignment.job, hand.assignment.token
            with self._lock:
                if self._hands[worker] is not hand:
                    continue  # it was forgotten
                self._hands[worker] = None
                self._spool[job, token] = (worker, ended)
                told = self._told
            if told is not None:
                told(job, token, ended)

    def _make(self, hand: Hand) -> Ended:
        assignment = hand.assignment
        prompt = assignment.argv[assignment.argv.index("--prompt") + 1]
        for step in range(1, STEPS + 1):
            told = self._told
            if told is not None:
                told(assignment.job, assignment.token, Progress("denoising", step, STEPS))
            if self.holds and step == STEPS:
                hand.go.wait()
            if self._stops:
                return Ended(0.1, 0, worker_lost=True)
            if hand.cancelled.is_set():
                return Ended(0.1, 0, Failure("cancelled", "The clip was cancelled."))
        if self.dies_of in prompt:
            return Ended(0.1, 0, worker_lost=True)
        try:
            with assignment.part.open("wb") as file:
                file.write(prompt.encode() + str(assignment.token).encode())
                file.write(b"\0" * self.clip_bytes)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            return Ended(0.1, 0, Failure("no_space", f"The clip can't be written: {why}."))
        assignment.part.rename(assignment.place)
        return Ended(0.1, 1000)
