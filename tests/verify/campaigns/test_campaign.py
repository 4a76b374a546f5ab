"""The committed baselines are of whole campaigns, and what has to hold in them does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ltx2_patcher.boundaries.baselines import BASELINES
from tests.conftest import ROOT
from verify.campaigns.vram_cases import NAMES, USUAL, cases
from verify.synthetic.architecture import Variant
from verify.vram.perf import BASELINE

FOLDER = ROOT / BASELINES
BASES = {"1.0.0": False, "1.2.0": True}  # whether that upstream has --offload
CAMPAIGNS = [(base, variant) for base in BASES for variant in NAMES]


def _baselines(base: str, variant: Variant) -> list[dict[str, Any]]:
    paths = sorted(FOLDER.glob(f"vram-{base}-{variant.value}-*.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


@pytest.mark.parametrize(("base", "variant"), CAMPAIGNS)
def test_every_case_was_run_and_came_to_what_it_must(base: str, variant: Variant) -> None:
    found = _baselines(base, variant)
    assert found
    for baseline in found:
        expected = [case.name for case in cases(variant, offloads=BASES[base])]
        assert [run["name"] for run in baseline["runs"]] == expected
        assert [run["name"] for run in baseline["runs"] if not run["as_expected"]] == []
        assert [check["text"] for check in baseline["checks"] if not check["passed"]] == []
        assert bool(baseline["checks"]) == (variant is Variant.LTX_2)


@pytest.mark.parametrize(("base", "variant"), CAMPAIGNS)
def test_the_search_for_the_longest_clip_came_to_its_end(base: str, variant: Variant) -> None:
    for baseline in _baselines(base, variant):
        found = baseline["longest"]
        tries = dict(found["tries"])
        assert found["frames"] >= USUAL[2]
        assert tries[found["frames"]] >= 0
        assert tries[found["frames"] + 8] is None


def test_the_usual_clip_of_each_was_timed() -> None:
    timed = json.loads(BASELINE.read_text("utf-8"))
    found = {(entry["base"], entry["pipeline"]) for entry in timed}
    assert found == {(base, of) for base in BASES for of in ("distilled", "ti2vid_two_stages")}
    for entry in timed:
        runs = {len(seconds) for seconds in entry["seconds"].values()}
        assert len(runs) == 1
        assert min(runs) >= 2
