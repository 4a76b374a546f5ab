"""What the parts of a layout stand for, code by code, and what its markers say."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.weight_files import e2m1, e8m0
from ltx_core.weight_files.markers import (
    Marker,
    MarkerError,
    header_markers,
    parse_marker,
    render_marker,
)
from ltx_core.weight_files.swizzle import stored_count, unswizzled

from tests.upstream.weight_files.made_layers import e2m1_value, swizzled

BYTES = torch.arange(256, dtype=torch.uint8)


def test_every_byte_is_two_floats_the_high_half_first() -> None:
    values = e2m1.unpacked(BYTES.reshape(16, 16))
    assert values.shape == (16, 32)
    expected = [e2m1_value(half) for byte in range(256) for half in (byte >> 4, byte & 15)]
    assert values.flatten().tolist() == expected


def test_every_byte_is_a_power_of_two_and_the_last_no_number() -> None:
    powers = e8m0.powers(BYTES)
    assert powers[:255].double().tolist() == [2.0 ** (byte - 127) for byte in range(255)]
    assert math.isnan(powers[255])


@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**31))
def test_scales_come_back_from_their_tiles(rows: int, columns: int, seed: int) -> None:
    scales = np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)
    stored = swizzled(scales)
    assert stored.numel() == stored_count(rows, columns)
    assert torch.equal(unswizzled(stored, rows, columns), torch.from_numpy(scales))


@given(st.text(min_size=1), st.none() | st.integers(1, 4096))
def test_a_marker_is_read_back(format_name: str, group_size: int | None) -> None:
    marker = Marker(format_name, group_size)
    assert parse_marker(render_marker(marker)) == marker


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter("format".__ne__), inner),
)


@given(JSON)
def test_a_header_that_names_no_format_is_refused(said: object) -> None:
    with pytest.raises(MarkerError):
        header_markers({"_quantization_metadata": json.dumps({"layers": {"layer": said}})})


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", '{"layers": []}', "[" * 100_000])
def test_a_header_that_is_none_of_comfyuis_is_refused(said: str) -> None:
    with pytest.raises(MarkerError):
        header_markers({"_quantization_metadata": said})
    assert header_markers({"config": "{}"}) == {}
