"""How long clips will take, told from those that were made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from ltx2_service.values.job import Wanted
from ltx2_service.values.waiting import Run, Waiting

_STRIDE, _FRAMES = 32, 8
"""Pixels that a latent token spans each way, and frames."""
_TIMES = 5  # its estimate, that a clip may take


@dataclass(frozen=True, slots=True)
class Pace:
    """What a model's clips take."""

    token_s: float  # seconds a latent token
    load_s: float  # seconds until a worker that has not got the model has it

    def seconds(self, tokens: int, *, cold: bool) -> float:
        """Of a clip of so many latent tokens."""
        return self.token_s * tokens + (self.load_s if cold else 0.0)


UNKNOWN = Pace(token_s=0.006, load_s=60.0)
"""Of a model that has made nothing yet: about an RTX 3090's, distilled."""


def tokens_of(wanted: Wanted) -> int:
    """The latent tokens of a clip whose sizes are filled in, at least 1."""
    across = max(1, (wanted.width or 0) // _STRIDE) * max(1, (wanted.height or 0) // _STRIDE)
    return across * (max(0, (wanted.num_frames or 1) - 1) // _FRAMES + 1)


def paces_of(runs: Iterable[Run]) -> dict[str, Pace]:
    """The pace of each model among `runs`. Medians: one clip on a busy machine changes little."""
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.model, []).append(run)
    return {model: _pace(several) for model, several in by_model.items()}


def _pace(runs: Sequence[Run]) -> Pace:
    warm = [run for run in runs if not run.cold]
    token_s = median(run.seconds / run.tokens for run in warm or runs)
    if not warm:
        return Pace(token_s, 0.0)  # of which the load is a part, until a second clip tells
    loads = [max(0.0, run.seconds - token_s * run.tokens) for run in runs if run.cold]
    return Pace(token_s, median(loads) if loads else UNKNOWN.load_s)


def run_limit_s(setting_s: float, estimate_s: float, origin: str) -> float:
    """How long an attempt may run: as its model's setting says, and by /v1/videos, where nobody
    waits on a connection, a multiple of the estimate where that is more.
    """
    return setting_s if origin == "own" else max(setting_s, _TIMES * estimate_s)


@dataclass(frozen=True, slots=True)
class Free:
    """When a card takes its next clip."""

    gpu: int
    seconds: float  # from now
    warm: frozenset[str]  # models that it has by then


class Cost(Protocol):
    """What a clip takes."""

    def __call__(self, job: Waiting, *, cold: bool) -> float:
        """Seconds of a card, which is `cold` where it has to load the model first."""


def ends(order: Sequence[Waiting], free: Iterable[Free], cost: Cost) -> dict[str, float]:
    """In how many seconds each job will have ended; those that no card may take are left out."""
    cards = {card.gpu: card for card in free}
    told: dict[str, float] = {}
    for job in order:
        able = [card for card in cards.values() if job.gpu in {None, card.gpu}]
        if not able:
            continue
        end_s, gpu = min(
            (card.seconds + cost(job, cold=job.model not in card.warm), card.gpu) for card in able
        )
        told[job.id] = end_s
        cards[gpu] = Free(gpu, end_s, cards[gpu].warm | {job.model})
    return told
