"""Every header is read back; every other sequence of bytes is refused with a sentence."""

from __future__ import annotations

import json
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.safetensors_header import (
    MAX_HEADER_BYTES,
    parse_header,
    parse_length,
)
from ltx2_patcher.values.errors import InvalidError
from tests.weight_files import header

NAMES = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)
SHAPES = st.lists(st.integers(0, 9), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    NAMES.filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(["U8", "BF16", "F32", "F8_E4M3"]), SHAPES),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(TENSORS, st.dictionaries(st.text(), st.text()))
def test_what_was_written_is_read(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    text, size = header(tensors, metadata)
    found = parse_header(text, size, "a file")
    assert {name: (t.dtype, t.shape) for name, t in found.tensors.items()} == tensors
    assert found.metadata == metadata
    assert found.bytes == size
    assert all(t.elements == prod(t.shape) for t in found.tensors.values())


@given(st.binary(), st.integers(0, 100))
def test_any_bytes_are_read_or_refused(data: bytes, size: int) -> None:
    _read_or_refused(data, size)


@given(st.dictionaries(st.text(), JSON), st.integers(0, 100))
def test_any_json_is_read_or_refused(raw: dict[str, object], size: int) -> None:
    _read_or_refused(json.dumps(raw).encode("utf-8", "surrogatepass"), size)


@given(st.data(), TENSORS)
def test_a_flipped_byte_is_read_or_refused(
    data: st.DataObject, tensors: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    text, size = header(tensors)
    at = data.draw(st.integers(0, len(text) - 1))
    _read_or_refused(
        text[:at] + data.draw(st.binary(min_size=1, max_size=1)) + text[at + 1 :], size
    )


def _read_or_refused(data: bytes, size: int) -> None:
    try:
        found = parse_header(data, size, "a file")
    except InvalidError as error:
        assert str(error).count("\n") == 0
        assert error.remedy
    else:
        assert found.bytes == size


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 3]}}', "fill"),
        ('{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]}}', "hole"),
        ('{"a": {"dtype": "Q9", "shape": [2], "data_offsets": [0, 4]}}', "dtype"),
        ('{"a": {"dtype": "U8", "shape": [true], "data_offsets": [0, 1]}}', "shape"),
        ('{"a": {"dtype": "U8", "shape": [-1, -1], "data_offsets": [0, 1]}}', "shape"),
        ('{"a": {}, "a": {}}', "twice"),
        ('{"a": NaN}', "NaN"),
        ("[" * 100_000, "can't be read"),
        ('{"a\\u001b[2J": {}}', "named"),
        ('{"__metadata__": {"a": 1}}', "metadata"),
        ("[]", "object"),
    ],
)
def test_hostile_headers_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_header(text.encode(), 4, "a file")


def test_missing_and_surplus_data_are_told() -> None:
    text, size = header({"a": ("BF16", (2, 2))})
    with pytest.raises(InvalidError, match="cut off: 7 of 8 bytes"):
        parse_header(text, size - 1, "a file")
    with pytest.raises(InvalidError, match="1 bytes follow"):
        parse_header(text, size + 1, "a file")


@pytest.mark.parametrize(
    ("prefix", "size", "why"),
    [
        (b"", 0, "cut off"),
        (b"\x10\0\0", 3, "cut off"),
        ((64).to_bytes(8, "little"), 40, "within its header"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little"), 1 << 40, "not a safetensors"),
        (b"\xff" * 8, 5000, "not a safetensors"),
        (b"<!DOCTYP", 5000, "is a web page"),
        (b"version https", 130, "is a pointer of git-lfs"),
        (b"GGUF\x03\0\0\0", 5000, "is a GGUF file"),
    ],
)
def test_lengths_that_can_not_be_are_refused(prefix: bytes, size: int, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_length(prefix, size, "a file")


def test_the_length_is_little_endian() -> None:
    assert parse_length(b"\x02\x01\0\0\0\0\0\0", 1000, "a file") == 258
