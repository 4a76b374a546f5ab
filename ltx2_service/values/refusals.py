"""What the service refuses: a sentence, a remedy, a code for programs and HTTP's status."""

from __future__ import annotations

import math

from ltx2_patcher.values.errors import PatcherError

MOST_RETRY_AFTER_S = 60  # what OpenAI's client honours


class ServiceRefusal(PatcherError):
    """A request that the service does not take."""

    exit_code = 2
    code: str
    status: int
    retry_after_s: int | None = None  # when it is worth asking again, where that can be told


class QueueFull(ServiceRefusal):
    """As many jobs wait as the settings allow."""

    code = "queue_full"
    status = 429
    retry_after_s: int

    def __init__(self, waiting: int, retry_after_s: float) -> None:
        self.retry_after_s = max(1, min(MOST_RETRY_AFTER_S, math.ceil(retry_after_s)))
        super().__init__(
            f"The queue is full: {waiting} clips wait.",
            remedy=f"Ask again in {self.retry_after_s} s.",
        )


class NoWorker(ServiceRefusal):
    """Nobody could make the clip that a client would wait for."""

    code = "no_worker"
    status = 503
    retry_after_s = 10

    def __init__(self) -> None:
        super().__init__(
            "No worker is up, so the clip would not be made while you wait.",
            remedy="Ask again later, or ask /v1/videos, where it waits until one is.",
        )


class Draining(ServiceRefusal):
    """The service ends, or makes way for a new version of itself."""

    code = "draining"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The service is stopping and takes no more clips.",
            remedy="Ask again once it is up.",
        )


class KeyTaken(ServiceRefusal):
    """An Idempotency-Key came again with another body."""

    code = "idempotency_key_taken"
    status = 422

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key {key!r} was used for another request.",
            remedy="Send a new key, or the same request as the first time.",
        )


class UnknownModel(ServiceRefusal):
    """The settings name no such model."""

    code = "model_not_found"
    status = 400

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"There is no model {name!r} here.", remedy=f"Ask for one of: {', '.join(known)}."
        )


class UnknownCard(ServiceRefusal):
    """A clip was pinned to a card that the service does not have."""

    code = "gpu_not_found"
    status = 400

    def __init__(self, gpu: int, known: tuple[int, ...]) -> None:
        super().__init__(
            f"The service has no GPU {gpu}.",
            remedy=f"Leave gpu_id out, or ask for one of: {', '.join(map(str, known))}.",
        )


class NoSuchJob(ServiceRefusal):
    """No clip has that id, or it was deleted."""

    code = "video_not_found"
    status = 404

    def __init__(self, job: str) -> None:
        super().__init__(f"There is no clip {job!r}.", remedy="Look at the list for its id.")


class NoPicture(ServiceRefusal):
    """A clip has no file to show: it has not ended, has failed, or was kept long enough."""

    code = "video_not_ready"
    status = 409

    def __init__(self, job: str, why: str) -> None:
        super().__init__(f"{job} has no clip: {why}.", remedy="Look at the clip's state.")
