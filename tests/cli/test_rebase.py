"""rebase, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from tests.conftest import BASE
from tests.rebases import (
    AFTER,
    BEFORE,
    LEDGER,
    make_place,
    tool,
)

pytestmark = pytest.mark.history


def test_a_stop_says_what_to_type(tmp_path: Path, history: Objects) -> None:
    place = make_place(tmp_path / "repository", history)
    root = place.root
    began = tool(root, "rebase", "--onto", AFTER)
    assert began.returncode == 3 and began.stderr == ""
    count = len(place.series(BASE).patches)
    assert f"stopped at 1 of {count}: load_the_gemma_text_encoder_quantized.patch" in began.stdout
    assert f"{LEDGER} is gone in 59ca828d5a (2026-03-30); our hunks:" in began.stdout
    assert f"git rm -q {LEDGER}" in began.stdout
    alone = tool(root, "rebase")
    assert (alone.returncode, alone.stdout) == (0, began.stdout)
    assert '"reason": "conflict"' in tool(root, "rebase", "--json").stdout
    refused = tool(root, "rebase", "--continue")
    assert refused.returncode == 3 and "not settled yet" in refused.stderr
    assert tool(root, "rebase", "--abort").returncode == 0
    none = tool(root, "rebase", "--continue")
    assert none.returncode == 2 and "rebase --onto REF" in none.stderr
    assert tool(root, "rebase", "--from", BASE).returncode == 2
    fits = tool(root, "rebase", "--onto", BEFORE)
    assert fits.returncode == 0 and "left for you:" in fits.stdout
