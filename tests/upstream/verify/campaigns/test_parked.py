"""The campaign of parked weights, run with tiny ones on this machine."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.conftest import LONG
from verify.campaigns.parked import Campaign
from verify.campaigns.parked_cases import ROWS, Row, tiny

SMALL = {row.name: tiny(row) for row in ROWS}


def campaign(tree: Path, folder: Path, rows: Sequence[Row]) -> Campaign:
    return Campaign(tree, folder, folder / "parked.json", rows, full=False)


@LONG
def test_what_was_cut_off_goes_on(
    patched_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"distilled, fp8{kind}" for kind in ("", ", needs", ", drift", ", cold")]
    rows = [SMALL[name] for name in names]
    assert campaign(patched_tree, tmp_path, rows).run([])
    file = tmp_path / "parked.json"
    told = json.loads(file.read_bytes())
    assert told["base"] == os.environ["LTX2_BASE"]
    expected = [(row.name, task.way) for row in rows for task in row.tasks]
    assert [(run["case"], run["way"]) for run in told["runs"]] == expected
    assert [run["failure"] for run in told["runs"] if run["failure"]] == []
    kept = {run["case"]: run["figures"].get("kept_blocks") for run in told["runs"]}
    assert kept["distilled, fp8"] == 2
    assert kept["distilled, fp8, needs"] == 0
    made = {digest for run in told["runs"] for digest in run["clips"]}
    assert len(made) == 1
    file.write_text(json.dumps({**told, "runs": told["runs"][1:]}))
    capsys.readouterr()
    assert campaign(patched_tree, tmp_path, rows).run([])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    assert said == ["== distilled, fp8: unparked"]
    again: dict[str, Any] = json.loads(file.read_bytes())
    assert len(again["runs"]) == len(expected)
    assert again["runs"][1:] == told["runs"][1:]
