"""Whether a run kept to the budget and to the limits that were set for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, Card
from ltx2_patcher.rules.models.workload import Workload
from verify.vram.stages import Stage

Measure = Literal["allocated", "reserved", "card", "host"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a stage may take, in bytes, where a request is of this kind.

    `stage` None is each stage. "allocated" and "reserved" are torch's peaks, "card" the latter with
    the CUDA context, "host" anonymous host memory.
    """

    pipelines: tuple[str, ...]
    size: str | None  # any where None
    frames: int | None  # at most that many
    flags: tuple[str, ...]  # all of them given
    without: tuple[str, ...]  # none of them given; one without its value is any of its values
    stage: str | None
    measure: Measure
    bound_bytes: int
    remedy: str


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """One limit, and what the run came to."""

    stage: str
    measure: Measure
    peak_bytes: int
    bound_bytes: int
    remedy: str

    @property
    def passed(self) -> bool:
        """Whether the limit held."""
        return self.peak_bytes <= self.bound_bytes

    @property
    def text(self) -> str:
        """One sentence with both numbers."""
        told = f"{self.stage}: {_WORDS[self.measure]} {self.peak_bytes / GIB:.2f} GiB"
        bound = f"{self.bound_bytes / GIB:.2f}"
        if self.passed:
            return f"{told} of at most {bound}"
        over = (self.peak_bytes - self.bound_bytes) / GIB
        return f"{told} is {over:.2f} over the {bound} allowed; {self.remedy}"


@dataclass(frozen=True, slots=True)
class VramVerdict:
    """All that was judged; `failure` is what ended the run before its time, `absent` are the stages
    that a limit is for and that never came up.
    """

    checks: tuple[LimitCheck, ...]
    failure: str | None
    absent: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the run ended well, and every limit was judged and held."""
        held = all(check.passed for check in self.checks)
        return self.failure is None and held and not self.absent

    @property
    def text(self) -> str:
        """What went wrong, or the tightest of what held."""
        wrong = [check.text for check in self.checks if not check.passed]
        if self.failure is not None:
            return self.failure
        if wrong:
            return "; ".join(wrong)
        if self.absent:
            return (
                f"a limit is for {', '.join(self.absent)}, which never came up; "
                "see what verify/vram/stages.py takes for it"
            )
        if not self.checks:
            return "nothing was judged: no budget was given and no limit is set for it"
        tightest = max(self.checks, key=lambda f: f.peak_bytes / f.bound_bytes)
        return f"every limit holds, the tightest: {tightest.text}"


def applies(limit: Limit, workload: Workload) -> bool:
    """Whether the limit is one for such a request."""
    return (
        workload.pipeline in limit.pipelines
        and limit.size in {None, workload.size}
        and (limit.frames is None or workload.frames <= limit.frames)
        and set(limit.flags) <= set(workload.flags)
        and not any(
            f"{flag} ".startswith(f"{n} ") for n in limit.without for flag in workload.flags
        )
    )


def judged(
    workload: Workload,
    stages: Sequence[Stage],
    card: Card | None,
    limits: Sequence[Limit],
    vram_budget_gib: float | None = None,
) -> tuple[LimitCheck, ...]:
    """The card's budget, that of parked weights, and each limit that applies, for each stage that
    was measured.

    A run that is held to a card runs out of memory before it is over the budget, so what the budget
    finds then is how near it came.
    """
    checks = list(_of_card(stages, card)) if card else []
    if vram_budget_gib is not None:
        checks += _of_parked(stages, int(vram_budget_gib * GIB))
    for limit in limits:
        if applies(limit, workload):
            checks += _of_limit(limit, stages)
    return tuple(checks)


def absent(workload: Workload, stages: Sequence[Stage], limits: Sequence[Limit]) -> tuple[str, ...]:
    """The stages of limits that apply, where the run had none of that name."""
    wanted = {limit.stage for limit in limits if limit.stage and applies(limit, workload)}
    return tuple(sorted(wanted - {stage.name for stage in stages}))


def remedy_of(stage: str) -> str:
    """What to change where a stage takes more than the card has."""
    return "add --gemma-4bit" if stage in _OF_GEMMA else "give fewer frames or a smaller size"


def _of_card(stages: Sequence[Stage], card: Card) -> Iterator[LimitCheck]:
    for stage in stages:
        if stage.peak_reserved_bytes is not None:
            peak = stage.peak_reserved_bytes + CONTEXT_BYTES
            yield LimitCheck(stage.name, "card", peak, card.usable_bytes, remedy_of(stage.name))


def _of_parked(stages: Sequence[Stage], budget_bytes: int) -> Iterator[LimitCheck]:
    for stage in stages:
        if (peak := _peak("reserved", stage)) is not None:
            remedy = "report the stage: --vram-budget is to hold"
            yield LimitCheck(stage.name, "reserved", peak, budget_bytes, remedy)


def _of_limit(limit: Limit, stages: Sequence[Stage]) -> Iterator[LimitCheck]:
    for stage in stages:
        if limit.stage in {None, stage.name} and (peak := _peak(limit.measure, stage)) is not None:
            yield LimitCheck(stage.name, limit.measure, peak, limit.bound_bytes, limit.remedy)


def _peak(measure: Measure, stage: Stage) -> int | None:
    match measure:
        case "allocated":
            return stage.peak_allocated_bytes
        case "reserved":
            return stage.peak_reserved_bytes
        case "card":
            reserved = stage.peak_reserved_bytes
            return None if reserved is None else reserved + CONTEXT_BYTES
        case "host":
            return stage.host_anon_bytes


_WORDS = {
    "allocated": "allocated",
    "reserved": "reserved",
    "card": "with the CUDA context",
    "host": "host memory of its own",
}
_OF_GEMMA = {"text encoding", "prompt enhancement"}
