"""Each base has a receipt of the series as it lies here."""

from __future__ import annotations

import json

import pytest

from ltx2_patcher.boundaries.store import Store
from tests.receipts import FOLDER, ROOT, digest


@pytest.mark.parametrize("base", [base.name for base in Store(ROOT).bases()])
def test_the_receipt_is_of_this_series(base: str) -> None:
    receipt = json.loads((FOLDER / f"{base}.json").read_bytes())
    assert receipt["digest"] == digest(base), (
        f"the series of {base} changed since it was proved on {receipt['date']}: "
        "run `make test-all` where upstream's history can be reached"
    )
    assert receipt["passed"] > 0
