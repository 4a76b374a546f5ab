"""How a measured run ended."""

from __future__ import annotations

from ltx2_patcher.rules.models.card import GIB, Card
from ltx2_patcher.values.errors import InvalidError, PatcherError
from verify.vram.judge import remedy_of
from verify.vram.runner import Run
from verify.vram.search import Try


def failure_of(run: Run) -> str | None:
    """What ended the run before its time, with its remedy; None where it ended well."""
    if run.failure is None and run.code == 0:
        return None
    stage = run.stretches[-1].stage if run.stretches else "starting"
    if run.out_of_memory:
        peak = max((h.reserved_bytes for h in run.held), default=0)
        return f"out of memory in {stage}, with {peak / GIB:.1f} GiB reserved; {remedy_of(stage)}"
    if run.code < 0:
        signal = f"signal {-run.code}"
        return f"the script was killed by {signal} in {stage}; see that the host has memory left"
    return f"the script ended with {run.code} in {stage}: {_said(run)}"


def failed(run: Run) -> PatcherError:
    """A run that ended neither well nor for lack of the card's memory."""
    return InvalidError(
        f"the script ended with {run.code}: {_said(run)}",
        remedy="see what it says with `python -m verify.vram` and the same arguments",
    )


def try_of(frames: int, run: Run, card: Card) -> Try:
    """What a run says of its length. Raises: InvalidError (it ended for another reason)."""
    if run.out_of_memory:
        return Try(frames, None)
    if run.failure or run.code:
        raise failed(run)
    reserved = [s.peak_reserved_bytes for s in run.stages if s.peak_reserved_bytes is not None]
    return Try(frames, card.allocator_bytes - max(reserved))


def _said(run: Run) -> str:
    return run.failure.text if run.failure else (run.last_words.splitlines() or ["nothing"])[-1]
