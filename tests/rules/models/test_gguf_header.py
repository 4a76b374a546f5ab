"""What the library writes is read; every other sequence of bytes is refused with a sentence."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx2_patcher.rules.models.gguf_header import _TYPES, parse_gguf
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Header
from tests.gguf_files import Kinds, write_gguf

NAMES = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)
KINDS = st.sampled_from(["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K", "IQ4_XS"])
TENSORS = st.dictionaries(
    NAMES.map(lambda name: name[:60]),
    st.tuples(KINDS, st.tuples(st.integers(1, 5), st.sampled_from([256, 512]))),
    max_size=4,
)
SMALL: Kinds = {"a.weight": ("Q4_K", (2, 256)), "b.weight": ("F32", (3,))}


def _parse(data: bytes) -> Header:
    return parse_gguf(memoryview(data), "a file")


def test_the_types_are_those_of_the_library() -> None:
    known = {
        int(kind): (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType
    }
    assert known.items() <= _TYPES.items()


@given(tensors=TENSORS, note=st.text(max_size=9), number=st.integers(0, 2**32 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_read(tmp_path: Path, tensors: Kinds, note: str, number: int) -> None:
    path = write_gguf(
        tmp_path / "a.gguf",
        "ltxv",
        tensors,
        a__note=note or "-",
        a__number=number,
        words=["x", "é"],
    )
    found = _parse(path.read_bytes())
    assert {name: (t.dtype, t.shape) for name, t in found.tensors.items()} == tensors
    reader = gguf.GGUFReader(path)
    sizes = {t.name: (t.n_bytes, t.data_offset - reader.data_offset) for t in reader.tensors}
    assert {name: (t.bytes, t.start) for name, t in found.tensors.items()} == sizes
    assert found.metadata["general.architecture"] == "ltxv"
    assert found.metadata["a.note"] == (note or "-")
    assert found.metadata["a.number"] == str(number)
    assert "words" not in found.metadata


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for beginning in (b"", b"GGUF", b"GGUF\3\0\0\0"):
        _read_or_refused(beginning + data)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.gguf"
    written = path.read_bytes() if path.exists() else b""
    written = written or write_gguf(path, "ltxv", SMALL, words=["x", "y"]).read_bytes()
    at = data.draw(st.integers(0, len(written) - 1))
    flipped = bytes([written[at] ^ data.draw(st.integers(1, 255))])
    _read_or_refused(written[:at] + flipped + written[at + 1 :])


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    written = write_gguf(tmp_path / "a.gguf", "ltxv", SMALL, words=["x", "y"]).read_bytes()
    padding = 32 - 3 * 4  # of the last tensor, which may be missing
    for size in range(4, len(written) - padding):
        with pytest.raises(InvalidError, match="is cut off"):
            _parse(written[:size])
    assert _parse(written[: len(written) - padding]) == _parse(written)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "cut off within its header"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "cut off within its header"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "the unknown type 99"),
        (
            b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 9) + struct.pack("<IQ", 9, 1) * 9,
            "nests arrays too deep",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**60),
            "cut off within its header",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 32, 77, 0),
            "a GGML type that is not known here",
        ),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 33, 2, 0), "fill its blocks"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"a", 9), "9 dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1s", 3, 1, 0, 1, b"\xff"), "no UTF-8"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        _parse(data)


def _read_or_refused(data: bytes) -> None:
    try:
        _parse(data)
    except InvalidError as error:
        assert "a file" in str(error) and error.remedy
