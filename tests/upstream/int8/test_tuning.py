"""What is measured on a card is every product of a block, and what is found becomes its table."""

import json
import subprocess
import sys

import pytest
from ltx_core.int8 import kept, tuning
from ltx_core.int8.block import VIDEO_TOKENS, passes
from ltx_core.int8.tiles import ROWS, TABLES, WIDTHS, Tile

pytestmark = pytest.mark.core


def test_a_block_has_28_layers_and_quantizes_its_inputs_20_times() -> None:
    made = passes(6144)
    assert sum(len(of.outs) for of in made) == 28
    assert len(made) == 20
    assert {of.name for of in made if of.gelu} == {"ff.net.2", "audio_ff.net.2"}
    assert {of.rows for of in made} == {6144, 1024, 126}


def test_each_product_is_of_one_class_of_rows() -> None:
    measured = tuning.products()
    assert {width for _, width in measured} == set(WIDTHS)
    assert {rows for rows, _ in measured} == {sample for _, sample in ROWS}
    assert {rows for rows, _ in measured if rows > 1024} == set(VIDEO_TOKENS)


def test_what_was_found_goes_before_the_table_of_the_capability() -> None:
    other = Tile(64, 128, 128, 4, 3)
    found = [
        tuning.Tuned(rows, width, other, ms=1.0, ours_ms=None) for rows, width in tuning.products()
    ]
    lines = [kept.as_json(one.line()) for one in found]
    lines += [kept.as_json(line) for line in TABLES[8, 6].lines]
    table = kept.table_of(json.dumps({"lines": lines, "row_values": {}}), (8, 6))
    for rows, width in tuning.products():
        assert table.tile(rows, width) == other
    # Longer clips than were measured are of the last class, and other widths of our table.
    assert table.tile(99_999, (4096, 4096)) == other
    assert table.tile(6144, (512, 512)) == TABLES[8, 6].tile(6144, (512, 512))


def test_without_a_card_the_program_says_so_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ltx_core.int8.tuning"],
        check=False,
        capture_output=True,
        text=True,
        env={"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "torch sees no card\n"
