"""docs/measured.md and the README's row say what the baselines say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from verify.campaigns import tables
from verify.campaigns.tables import clips, lengths, main, page, prompts, read_all

STAGE = {
    "name": "text encoding",
    "load_s": 1.25,
    "compute_s": 2.0,
    "peak_allocated_bytes": 9 << 30,
    "peak_reserved_bytes": 10 << 30,
    "host_anon_bytes": 1 << 30,
}
RUN = {
    "name": "one prompt, --gemma-4bit",
    "pipeline": "distilled",
    "size": "768x512",
    "frames": 121,
    "flags": "--gemma-4bit",
    "out_of_memory": False,
    "stages": [STAGE],
}
BASELINE = {
    "base": "1.0.0",
    "model": "LTX-2 19B",
    "machine": "a GPU",
    "budget_gib": 24,
    "date": "2026-11-26",
}


def test_the_page_says_what_the_baselines_say() -> None:
    assert main(["--check"]) == 0
    assert read_all()


def test_the_readmes_row_is_one_of_the_page() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (row,) = (line for line in readme.splitlines() if line.startswith("| LTX-2"))
    (machine,) = {b["machine"] for b in read_all() if row in page([b]).splitlines()}
    assert machine in readme


def test_a_prompt_and_a_clip_have_their_tables() -> None:
    clip = {**RUN, "name": "distilled, 768x512, 121 frames"}
    baseline = {**BASELINE, "runs": [RUN, clip]}
    assert "| --gemma-4bit | one prompt | 1.0.0 | 1.2 | 9.00 | 1.00 |" in prompts([baseline])
    assert "| 10.5 | text encoding | 3 |" in clips([baseline])
    assert "On: a GPU, 2026-11-26." in clips([baseline])
    assert clips([baseline]).count("distilled") == 1


def test_each_machine_has_a_table_of_its_own() -> None:
    clip = {**RUN, "name": "distilled, 768x512, 121 frames"}
    other = {**BASELINE, "machine": "another", "budget_gib": 48}
    text = clips([{**BASELINE, "runs": [clip]}, {**other, "runs": [clip]}])
    assert text.count("GiB of 23.6") == text.count("GiB of 47.6") == 1
    assert text.index("On: a GPU") < text.index("GiB of 47.6") < text.index("On: another")


def test_what_ran_out_says_so() -> None:
    out = {**RUN, "out_of_memory": True}
    assert "| out of memory |" in prompts([{**BASELINE, "runs": [out]}])


def test_the_longest_is_given_in_seconds_too() -> None:
    longest = {"pipeline": "distilled", "size": "768x512", "frames": 385}
    assert "| 385 (15.4 s at 25 fps) |" in lengths([{**BASELINE, "longest": longest, "runs": []}])
    assert "No baseline" in lengths([{**BASELINE, "runs": []}])


def test_a_page_that_is_out_of_date_is_told_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "measured.md"
    stale.write_text(page(read_all()).replace("| 20.4 |", "| 19.4 |"))
    monkeypatch.setattr(tables, "PAGE", stale)
    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert main([]) == 0
    assert stale.read_text("utf-8") == page(read_all())
    assert main(["--check"]) == 0
