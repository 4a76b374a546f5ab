"""Take patches/ as it lies: lock the overlay's files, and let bases share what they have alike."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.publication import (
    check_overlay,
    holding,
    publish,
    refuse_pending,
    steps_to,
)
from ltx2_patcher.rules.series.blobs import blob_ids


@dataclass(frozen=True, slots=True)
class ExportedInPlace:
    """What it wrote in patches/, or with a dry run would write."""

    changed: tuple[str, ...]  # files below the repository's root whose bytes are new
    removed: tuple[str, ...]
    finished: str | None  # a change that was cut off, and was finished first


def export_in_place(store: Store, *, dry_run: bool = False) -> ExportedInPlace:
    """The overlay's lock holds its files, and a patch that several bases have alike lies once.

    No tree is looked at.

    Raises: InvalidError where a series is not sound, or can't take the overlay; BusyError,
    OutsideError.
    """
    if dry_run:
        refuse_pending(store)
    with nullcontext() if dry_run else holding(store) as finished:
        overlay = blob_ids(store.overlay())
        every = []
        for base in store.bases():
            series = store.series(base.name, store.held(base.name, overlay))
            check_overlay(series.lock, series.symbols, series.overlay)
            every.append(series)
        made = steps_to(store, *every, relaid=True)
        if not dry_run:
            publish(store, "an export in place", made)
    return ExportedInPlace(
        tuple(step.path for step in made if step.after is not None),
        tuple(step.path for step in made if step.after is None),
        finished,
    )
