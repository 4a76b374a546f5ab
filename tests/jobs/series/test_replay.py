"""Upstream's real history replayed, each base carried revision by revision towards the next."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.rebasing import Outcome
from tests.replay import counted, lines, record, replay

pytestmark = [pytest.mark.history, pytest.mark.slow]


def test_every_revision_between_two_bases_is_reached(
    tmp_path: Path, store: Store, history: Objects
) -> None:
    steps = replay(tmp_path, store, history)
    print("\n".join(lines(steps)))
    first, *_, last = sorted(store.bases() * 2, key=lambda base: (base.date, base.name))
    assert [step.commit for step in steps] == history.commits_between(first.commit, last.commit)
    for before, after in pairwise(steps):
        if before.towards == after.towards:  # what was carried there is what sets out from there
            gone = {Outcome.RETIRED, Outcome.LEFT_OUT}
            left = [name for name, outcome in before.outcomes.items() if outcome not in gone]
            assert list(after.outcomes) == left
    assert sum(counted(steps).values()) == sum(len(step.outcomes) for step in steps)
    record(store, steps)
