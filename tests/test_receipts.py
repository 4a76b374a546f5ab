"""What was proved elsewhere was proved of the series as they lie here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ltx2_patcher.boundaries.store import Store
from tests.receipts import FOLDER, ROOT
from verify.upstream.provenance import patched_files

BASES = [base.name for base in Store(ROOT).bases()]
REPLAY = "replay the history again (python -m tests.replay)"
HISTORY = {FOLDER / f"{base}-history.json" for base in BASES}
RECEIPTS = sorted(HISTORY | set(FOLDER.glob("*-*.json")))
BASELINES = sorted((ROOT / "verify/baselines").glob("*.json"))


@pytest.mark.parametrize("path", RECEIPTS, ids=lambda path: path.name)
def test_what_was_proved_was_proved_of_this_series(path: Path) -> None:
    receipt = json.loads(path.read_bytes())
    assert receipt["digest"] == Store(ROOT).digest(receipt["base"]), (
        f"the series of {receipt['base']} changed since {receipt['date']}: prove it again "
        f"({receipt['proved']})"
    )


def test_the_replay_of_history_was_one_of_these_series() -> None:
    receipt = json.loads((FOLDER / "replay.json").read_bytes())
    store = Store(ROOT)
    now = {base.name: store.digest(base.name) for base in store.bases()}
    assert receipt["digests"] == now, f"a series changed since {receipt['date']}: {REPLAY}"


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.name)
def test_what_was_measured_is_what_the_series_makes(path: Path) -> None:
    for found in _entries(path):
        assert found["files"]
        assert found["files"] == patched_files(found["base"], list(found["files"])), (
            f"the patched files changed since {found['date']}: measure again (verify/gpu_*.py)"
        )


def test_every_base_fuses_on_a_gpu_as_its_patch_says() -> None:
    """Three were measured; the patches of all change the same lines to the same."""
    measured = {path.name.split("-nvidia")[0] for path in BASELINES if "ampere" in path.name}
    assert measured >= {"ampere-2026-01-08", "ampere-1.0.0", "ampere-1.2.0"}
    assert len({_own_lines(base) for base in BASES}) == 1


def _own_lines(base: str) -> tuple[str, ...]:
    """What the patch that fuses below capability 8.9 takes out and puts in."""
    path = ROOT / f"patches/{base}/fuse_loras_into_fp8_weights_below_capability_8_9.patch"
    diff = path.read_text("utf-8").split("\ndiff --git ", 1)[1].splitlines()
    return tuple(
        line for line in diff if line[:1] in {"+", "-"} and line[:4] not in {"+++ ", "--- "}
    )


def _entries(path: Path) -> list[dict[str, Any]]:
    """What a baseline holds: seconds are of several requests, everything else of one machine."""
    found = json.loads(path.read_bytes())
    return found if isinstance(found, list) else [found]
