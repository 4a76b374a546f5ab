"""Which flags let the weights at hand run on this machine's card and host memory."""

from __future__ import annotations

from dataclasses import replace

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.baselines import BASELINES, read_baselines, read_needs
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.pipelines import pipelines_in
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.budget import Capacity, advise, savings_of
from ltx2_patcher.rules.models.card import free_card
from ltx2_patcher.rules.models.parked_advice import (
    advised_flags,
    advised_parking,
    expected,
    parkings,
    read_again,
)
from ltx2_patcher.rules.models.parked_host import room_of
from ltx2_patcher.rules.models.parked_need import budget_of, forecast_need, refusal_of_budget
from ltx2_patcher.rules.models.workload import Workload
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

_OFFLOADS_SINCE = "2026-05-28"
"""The day of upstream's 7dc613f, which came with --offload."""
_USUAL = Workload("distilled", 768, 512, 121, ())


def flags_of_card(
    store: Store, base: Base, card: Gpu, checkpoint: Checkpoint | None, gemma: GemmaRoot | None
) -> Finding:
    """Those with which the card holds each model whole, or where weights can't be parked upstream's
    --offload its blocks.

    Raises: ConflictError without a checkout; InvalidError where a baseline is damaged.
    """
    options = _options(store, base)
    capacity, savings = _capacity(card), savings_of(options)
    parks = checkpoint is not None and "--vram-budget" in options
    if parks:
        savings = replace(savings, offloads=False)
    measured = read_baselines(store.root / BASELINES)
    advice = advise(capacity, savings, checkpoint, gemma, measured)
    needs = ", ".join(
        f"{need.stage} {' '.join(need.flags) or 'plain'} {in_words(need.bytes)}"
        + (f" and {in_words(need.host_bytes)} of the host's" if need.host_bytes else "")
        for need in advice.needs
    )
    fact = f"{advice.text} in {in_words(advice.usable_bytes)} that torch can use ({needs})"
    if advice.flags is not None:
        return Finding("flags", Level.OK, fact)
    if parks:
        return Finding("flags", Level.OK, f"without --vram-budget {fact}")
    remedy = "use a card with more memory"
    elsewhere = advise(capacity, replace(savings, offloads=True), checkpoint, gemma, measured)
    able = [
        other.name
        for other in store.bases()
        if other.date >= _OFFLOADS_SINCE and (not checkpoint or checkpoint.variant in other.loads)
    ]
    if able and elsewhere.flags is not None:
        remedy += f", or base {' or '.join(able)} with {' '.join(elsewhere.flags)}"
    return Finding("flags", Level.FAILURE, fact, remedy)


def parked_weights(
    store: Store, base: Base, card: Gpu, checkpoint: Checkpoint, gemma: GemmaRoot | None
) -> Finding:
    """What the tree's scripts can keep in host memory, what a step then takes, and whether other
    flags are better here. Raises: as `flags_of_card`.
    """
    subject, options = "parked weights", _options(store, base)
    if "--vram-budget" not in options:
        return Finding(subject, Level.OK, "its scripts have no --vram-budget")
    capacity, request = _capacity(card), Request(pipeline="")
    room = room_of(None, capacity.host_bytes)
    found = advised_parking(request, checkpoint, gemma, room)
    best = next(parkings(request, checkpoint, gemma, room))
    weights, free = in_words(found.share.weights.bytes), in_words(capacity.host_bytes)
    held = f"{weights} in host memory, of which {free} are free"
    if found.share.on_disk_bytes:
        held = read_again(found.share)
    budget = budget_of("auto", card.free_bytes)
    known = read_needs(store.root / BASELINES)
    need = forecast_need(_USUAL, checkpoint.generation, known)
    kept = None if need is None else max(budget.bytes - need.bytes, 0)
    facts = [
        f"{' '.join(found.words)}: {held}",
        expected(found.share, kept, machine.link(card)),
    ]
    if found.flags != best.flags:
        more = in_words(best.share.weights.bytes)
        facts.append(f"{' '.join(best.words)} would take {more} there")
    flags = advised_flags(
        capacity, savings_of(options), checkpoint, gemma, read_baselines(store.root / BASELINES)
    )
    better = flags != found.words
    if better:
        facts.append(f"better here: {' '.join(flags) or 'no flags'}")
    if refusal := refusal_of_budget(_USUAL, checkpoint.generation, budget, known):
        return Finding(subject, Level.WARNING, f"{'; '.join(facts)}; {refusal}", refusal.remedy)
    if found.share.on_disk_bytes and not better:
        remedy = f"let them take {in_words(found.share.on_disk_bytes)} more of host memory"
        return Finding(subject, Level.WARNING, "; ".join(facts), remedy)
    return Finding(subject, Level.OK, "; ".join(facts))


def _options(store: Store, base: Base) -> frozenset[str]:
    pipelines = pipelines_in(checkout_path(store, base))
    return frozenset(option for pipeline in pipelines for option in pipeline.options)


def _capacity(card: Gpu) -> Capacity:
    left = free_card(card.total_bytes, card.free_bytes)
    return Capacity(left, machine.memory().available_bytes)
