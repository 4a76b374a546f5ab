"""The README's tables are those of the baselines, and what is no table is left alone."""

from __future__ import annotations

import pytest

from ltx2_patcher.values.errors import InvalidError
from verify.campaigns.tables import README, TABLES, clips, lengths, main, prompts, read_all, written

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


def test_the_readme_holds_what_the_baselines_say() -> None:
    assert main(["--check"]) == 0
    assert read_all()


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
    found = clips([{**BASELINE, "runs": [clip]}, {**other, "runs": [clip]}])
    assert found.count("GiB of 23.6") == found.count("GiB of 47.6") == 1
    assert found.index("On: a GPU") < found.index("GiB of 47.6") < found.index("On: another")


def test_what_ran_out_says_so() -> None:
    out = {**RUN, "out_of_memory": True}
    assert "| out of memory |" in prompts([{**BASELINE, "runs": [out]}])


def test_the_longest_is_given_in_seconds_too() -> None:
    found = {"pipeline": "distilled", "size": "768x512", "frames": 385}
    assert "| 385 (15.4 s at 25 fps) |" in lengths([{**BASELINE, "longest": found, "runs": []}])
    assert "No baseline" in lengths([{**BASELINE, "runs": []}])


def test_a_table_goes_between_its_marks_alone() -> None:
    text = README.read_text("utf-8")
    changed = written(text.replace("| one prompt |", "| no prompt |"), read_all())
    assert changed == text


@pytest.mark.parametrize("name", TABLES)
def test_a_mark_that_is_gone_is_told(name: str) -> None:
    text = README.read_text("utf-8").replace(f"<!-- end of {name} -->", "")
    with pytest.raises(InvalidError, match=f"no place for the table {name}"):
        written(text, read_all())
