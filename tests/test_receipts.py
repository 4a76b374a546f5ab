"""Each base has receipts of the series as it lies here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from tests.receipts import FOLDER, ROOT

BASES = [base.name for base in Store(ROOT).bases()]
RECEIPTS = [FOLDER / f"{base}-{kind}.json" for base in BASES for kind in ("history", "cuda")]
BASELINES = sorted((ROOT / "verify/baselines").glob("*.json"))


@pytest.mark.parametrize("path", RECEIPTS + BASELINES, ids=lambda path: path.name)
def test_what_was_proved_was_proved_of_this_series(path: Path) -> None:
    receipt = json.loads(path.read_bytes())
    assert receipt["digest"] == Store(ROOT).digest(receipt["base"]), (
        f"the series of {receipt['base']} changed since {receipt['date']}: prove it again "
        f"({'python -m verify.gpu_*' if path in BASELINES else receipt['proved']})"
    )


def test_there_are_baselines_of_a_gpu() -> None:
    assert {path.name.split("-")[0] for path in BASELINES} >= {"ampere", "gemma"}
