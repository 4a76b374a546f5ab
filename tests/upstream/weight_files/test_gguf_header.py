"""What the library writes is read; every other sequence of bytes is refused in one way."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ltx_core.weight_files.gguf_header import GgufHeader, TornHeader, parse_gguf

pytestmark = pytest.mark.core

NAMES = st.text(min_size=1, max_size=20)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
SETTINGS = st.dictionaries(
    NAMES.map("a.{}".format),
    st.text(min_size=1)
    | st.booleans()
    | st.integers(0, 2**32 - 1)
    | st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=40)
    | st.lists(st.text(), min_size=1, max_size=3),
    max_size=4,
)
Said = dict[str, str | bool | int | list[int] | list[str]]


def write(path: Path, said: Said, shapes: dict[str, tuple[int, ...]]) -> bytes:
    writer = gguf.GGUFWriter(path, "gemma3")
    for name, value in said.items():
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        else:
            writer.add_array(name, value)
    for number, (name, shape) in enumerate(shapes.items()):
        writer.add_tensor(name, np.full(shape, number, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@given(SETTINGS, st.dictionaries(NAMES, SHAPES, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_read(
    tmp_path: Path, said: Said, shapes: dict[str, tuple[int, ...]]
) -> None:
    data = write(tmp_path / "a.gguf", said, shapes)
    header = parse_gguf(memoryview(data))
    kept = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in said.items()
        if not isinstance(value, list) or (len(value) <= 16 and isinstance(value[0], int))
    }
    assert header.settings == {"general.architecture": "gemma3", **kept}
    assert {place.name: place.shape for place in header.tensors} == shapes
    for number, place in enumerate(header.tensors):
        count = int(np.prod(place.shape))
        held = np.frombuffer(data, np.float32, count, place.start)
        assert (held == number).all()


@given(st.binary(max_size=200), st.sampled_from([b"", b"GGUF", b"GGUF\3\0\0\0"]))
def test_any_bytes_are_read_or_refused(data: bytes, beginning: bytes) -> None:
    _read_or_refused(beginning + data)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    written = write(tmp_path / "a.gguf", {"a": ["x", "y"], "b": [1, 2]}, {"t": (2, 3)})
    at = data.draw(st.integers(0, len(written) - 1))
    flipped = bytes([written[at] ^ data.draw(st.integers(1, 255))])
    _read_or_refused(written[:at] + flipped + written[at + 1 :])


@pytest.mark.parametrize(
    "rest",
    [
        struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 2**60),
        struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 10, 2**62),
        struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 9) + struct.pack("<IQ", 9, 1) * 5000,
        struct.pack("<IQQ", 3, 2**63, 0),
        struct.pack(">IQQ", 3, 0, 0),
    ],
    ids=["many texts", "many numbers", "deep arrays", "many tensors", "big-endian"],
)
def test_what_promises_more_than_it_has_is_refused_at_once(rest: bytes) -> None:
    with pytest.raises(TornHeader):
        parse_gguf(memoryview(b"GGUF" + rest))


def _read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(parse_gguf(memoryview(data)), GgufHeader)
    except TornHeader as error:
        assert str(error)
