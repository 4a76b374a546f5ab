"""Each base has receipts of the series as it lies here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from tests.receipts import FOLDER, ROOT

BASES = [base.name for base in Store(ROOT).bases()]
RECEIPTS = [FOLDER / f"{base}-{kind}.json" for base in BASES for kind in ("history", "cuda")]
REPLAY = "replay the history again (python -m tests.replay)"
BASELINES = sorted((ROOT / "verify/baselines").glob("*.json"))


@pytest.mark.parametrize("path", RECEIPTS + BASELINES, ids=lambda path: path.name)
def test_what_was_proved_was_proved_of_this_series(path: Path) -> None:
    receipt = json.loads(path.read_bytes())
    assert receipt["digest"] == Store(ROOT).digest(receipt["base"]), (
        f"the series of {receipt['base']} changed since {receipt['date']}: prove it again "
        f"({'python -m verify.gpu_*' if path in BASELINES else receipt['proved']})"
    )


def test_the_replay_of_history_was_one_of_these_series() -> None:
    receipt = json.loads((FOLDER / "replay.json").read_bytes())
    store = Store(ROOT)
    now = {base.name: store.digest(base.name) for base in store.bases()}
    assert receipt["digests"] == now, f"a series changed since {receipt['date']}: {REPLAY}"


def test_there_are_baselines_of_a_gpu() -> None:
    assert {path.name.split("-")[0] for path in BASELINES} >= {"ampere", "gemma"}
