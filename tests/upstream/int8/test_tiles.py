"""Every product of LTX-2 gets a tile that its card holds, from our table or from a measured one."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.int8 import kept
from ltx_core.int8.tiles import (
    LOWEST,
    ROWS,
    SHARED_BYTES,
    TABLES,
    WIDTHS,
    Line,
    Table,
    Tile,
    candidates,
    nearest,
)

from tests.weight_files import RELEASED
from verify.upstream.tree import ROOT

pytestmark = pytest.mark.core


def transformer_of(config: dict[str, Any]) -> torch.nn.Module:
    """Upstream's model of a configuration."""
    from ltx_core.model.transformer import LTXModelConfigurator

    if hasattr(LTXModelConfigurator, "from_config"):
        made: torch.nn.Module = LTXModelConfigurator.from_config({"transformer": config})
    else:
        made = LTXModelConfigurator.from_metadata({"config": {"transformer": config}})
    return made


capabilities = st.sampled_from(
    [(8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (10, 3), (11, 0), (12, 0), (12, 1)]
)


@given(capabilities, st.integers(1, 200_000), st.sampled_from(WIDTHS))
def test_each_product_gets_a_tile_that_fits(
    capability: tuple[int, int], rows: int, width: tuple[int, int]
) -> None:
    known = nearest(capability)
    assert LOWEST <= known <= capability
    tile = TABLES[known].tile(rows, width)
    assert tile.shared_bytes(capability) <= SHARED_BYTES[known]
    # int32 sums, 255 registers a thread at most, of which reading and addresses need their share.
    assert tile.block_m * tile.block_n // (32 * tile.warps) <= 128
    assert not width[1] % tile.block_k


@given(capabilities, st.sampled_from([into for _, into in WIDTHS]))
def test_a_row_fits_the_registers_of_its_warps(capability: tuple[int, int], into: int) -> None:
    warps = TABLES[nearest(capability)].row_warps(into)
    assert into <= warps * 32 * 64  # 64 take 79 to 100 of 255


def test_few_rows_get_a_tile_of_their_own() -> None:
    for table in TABLES.values():
        sizes = [table.tile(rows, (4096, 4096)).block_m for _, rows in ROWS]
        assert sizes[0] < sizes[-1]


def test_the_classes_of_rows_hold_what_stands_for_them() -> None:
    least = 0
    for most, sample in ROWS:
        assert least < sample
        assert most is None or sample <= most
        least = most or least
    assert ROWS[-1][0] is None


def test_a_table_is_called_measured_where_a_card_measured_it() -> None:
    """And holds what was the fastest there, of each product."""
    reports = [
        json.loads(path.read_text("utf-8"))
        for path in (ROOT / "verify/baselines").glob("int8-*.json")
    ]
    found = {tuple(report["capability"]): report["rows"]["tiles"] for report in reports}
    assert {card for card, table in TABLES.items() if table.measured} == found.keys()
    for card, tiles in found.items():
        table = TABLES[card]
        assert tiles["tuned"]
        for one in tiles["tuned"]:
            assert table.tile(one["rows"], tuple(one["width"])) == Tile(**one["tile"])


@pytest.mark.parametrize("capability", list(TABLES))
def test_what_a_measurement_tries_fits(capability: tuple[int, int]) -> None:
    tried = candidates(capability)
    assert len(tried) >= 10
    assert len(set(tried)) == len(tried)
    assert all(tile.shared_bytes(capability) <= SHARED_BYTES[capability] for tile in tried)
    assert any(tile.bulk for tile in tried) == (capability == (9, 0))
    assert {line.tile for line in TABLES[capability].lines} <= set(tried)


@pytest.mark.parametrize(
    "tile",
    [
        (48, 64, 64, 4, 3),
        (8, 64, 64, 4, 3),
        (64, 64, 16, 4, 3),
        (64, 64, 64, 3, 3),
        (64, 64, 64, 64, 3),
        (64, 64, 64, 4, 0),
    ],
)
def test_a_tile_that_no_kernel_can_have_is_refused(tile: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="tile"):
        Tile(*tile)


def test_a_table_is_for_any_product() -> None:
    with pytest.raises(ValueError, match="any product"):
        Table((Line(256, None, Tile(64, 64, 64, 4, 3)),))


lines = st.lists(
    st.builds(
        Line,
        st.none() | st.integers(1, 99_999),
        st.none() | st.sampled_from(WIDTHS),
        st.sampled_from(candidates((8, 6))),
    ),
    max_size=9,
).map(lambda made: (*made, Line(None, None, Tile(64, 64, 64, 4, 3))))


@given(lines, st.dictionaries(st.sampled_from([2048, 16384]), st.sampled_from([16, 32, 64])))
def test_a_kept_table_is_read_as_it_was(made: tuple[Line, ...], values: dict[int, int]) -> None:
    report = {"lines": [kept.as_json(line) for line in made], "row_values": values}
    read = kept.table_of(json.dumps(report), (8, 6))
    assert read == Table(made, measured=True, row_values=values)


TILE = {"block_m": 128, "block_n": 128, "block_k": 128, "warps": 8, "stages": 4, "bulk": False}


def usable() -> dict[str, Any]:
    line = Line(None, None, Tile(128, 128, 128, 8, 4))
    return {"lines": [kept.as_json(line)], "row_values": {"4096": 16}}


@pytest.mark.parametrize(
    "change",
    [
        {"lines": []},
        {"lines": [{"most_rows": None, "width": None, "tile": {**TILE, "warps": None}}]},
        {"lines": [{"most_rows": None, "width": None, "tile": {**TILE, "stages": "4"}}]},
        {"lines": [{"most_rows": None, "width": [4096], "tile": TILE}]},
        {"lines": [{"most_rows": True, "width": None, "tile": TILE}]},
        {
            "lines": [
                {"most_rows": None, "width": None, "tile": {**TILE, "block_m": 256, "block_n": 256}}
            ]
        },
        {"lines": [{"most_rows": None, "width": None, "tile": {**TILE, "bulk": True}}]},
        {"lines": [{"most_rows": None, "width": None, "tile": {**TILE, "bulk": 1}}]},
        {"lines": [{"most_rows": None, "width": None, "tile": {**TILE, "more": 1}}]},
        {"row_values": {"4096": 0}},
        {"row_values": None},
    ],
)
def test_a_table_of_no_use_is_not_used(
    change: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "table.json"
    kept.keep(path, {**usable(), **change})
    with caplog.at_level(logging.WARNING):
        assert kept.table_at(path, (8, 6)) is None
    assert "doctor --bench" in caplog.text


def test_a_table_in_the_cache_folder_goes_before_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = kept.place("NVIDIA GeForce RTX 3090", "3.6.0")
    assert path.parent == tmp_path / "ltx2-patcher/int8"
    assert path.match("nvidia-geforce-rtx-3090-triton-3.6.0-????????.json")  # by our kernels too
    assert kept.table_at(path, (8, 6)) is None
    kept.keep(path, usable())
    table = kept.table_at(path, (8, 6))
    assert table is not None
    assert table.measured
    assert table.row_warps(4096) == 8
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "name",
    [
        "LTX-2 19B",
        "LTX-2.3 22B",
        pytest.param("LTX-2.5 22B", marks=pytest.mark.revisions(since="2026-08-11")),
    ],
)
def test_the_widths_are_those_of_the_released_blocks(name: str) -> None:
    """Of upstream's own modules, built as the released configuration says."""
    transformer = {**RELEASED[name]["config"]["transformer"], "num_layers": 1}
    with torch.device("meta"):
        model = transformer_of(transformer)
    found = {
        (module.out_features, module.in_features)
        for key, module in model.named_modules()
        if key.startswith("transformer_blocks.")
        and key.endswith((".to_q", ".to_k", ".to_v", ".to_out.0", "ff.net.0.proj", "ff.net.2"))
    }
    assert found == set(WIDTHS)
