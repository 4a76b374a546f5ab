from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ltx2_patcher.values.errors import InvalidError
from ltx2_service.rules.preview import LONG_SIDE, preview


def npy(shape: Sequence[int], values: Sequence[float] | bytes, descr: str = "<f2") -> bytes:
    """As numpy.save writes it."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    lead = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    if isinstance(values, bytes):
        return lead + header + values
    return lead + header + struct.pack(f"<{len(values)}e", *values)


def rgb(rows: int, columns: int, values: bytes) -> bytes:
    return npy((rows, columns, 3), values, "|u1")


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(preview(data)))
    assert picture.format == "WEBP"
    return picture.convert("RGB")


@st.composite
def latents(draw: st.DrawFn) -> tuple[tuple[int, int, int], list[float]]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40)))
    pattern = draw(st.lists(st.floats(width=16), min_size=1, max_size=40))
    count = shape[0] * shape[1] * shape[2]
    return shape, (pattern * (count // len(pattern) + 1))[:count]


@settings(deadline=None)
@given(latents())
def test_whatever_the_numbers_are_it_is_a_picture_of_that_shape(
    made: tuple[tuple[int, int, int], list[float]],
) -> None:
    (_, rows, columns), values = made
    picture = opened(npy(made[0], values))
    assert max(picture.size) == LONG_SIDE
    wide = picture.width - picture.height
    assert wide >= 0 if columns >= rows else wide <= 0


@given(st.binary(max_size=200))
def test_bytes_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidError, match="no preview"):
        preview(data)


@pytest.mark.parametrize(
    "data",
    [
        npy((2, 2, 2), [0.0] * 7),
        npy((2, 2), [0.0] * 4),
        npy((2, -2, 2), [0.0] * 8),
        npy((2, 0, 2), []),
        npy((1, 1_000_000, 1_000_000), [0.0]),
        npy((2, 2, 2), [0.0] * 8, "<f4"),
        npy((2, 2, 2), [0.0] * 8).replace(b"{", b"("),
        rgb(2, 2, b"7" * 11),
        rgb(0, 2, b""),
        rgb(1_000, 1_000, b"7"),
        npy((3, 2, 2), b"7" * 12, "|u1"),
        npy((2, 2, 3), b"7" * 12, "|i1"),
        npy((2, 2, 2), [0.0] * 8).replace(b"'shape'", b"'shale'"),
    ],
)
def test_a_file_of_another_content_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError, match="no preview"):
        preview(data)


def test_a_shape_stands_out_from_what_is_round_it() -> None:
    rows, columns, channels = 16, 24, 128
    inside = {(y, x) for y in range(5, 11) for x in range(8, 16)}
    values = [
        (1.0 if (y, x) in inside else -0.2) * ((channel % 5) - 1)
        for channel in range(channels)
        for y in range(rows)
        for x in range(columns)
    ]
    picture = opened(npy((channels, rows, columns), values)).convert("L")
    middle, corner = (picture.getpixel(at) for at in ((192, 128), (8, 8)))
    assert isinstance(middle, int) and isinstance(corner, int)
    assert abs(middle - corner) > 60


def test_a_larger_frame_is_thinned_not_cut() -> None:
    rows = columns = 100  # the right half differs from the left
    values = [float(x >= 50) for _ in range(4) for _ in range(rows) for x in range(columns)]
    picture = opened(npy((4, rows, columns), values)).convert("L")
    left, right = picture.getpixel((20, 200)), picture.getpixel((360, 200))
    assert isinstance(left, int) and isinstance(right, int)
    assert abs(left - right) > 60


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_colours_that_are_known_are_shown(rows: int, columns: int, data: st.DataObject) -> None:
    colour = data.draw(st.tuples(*[st.integers(0, 255)] * 3))
    picture = opened(rgb(rows, columns, bytes(colour) * rows * columns))
    assert max(picture.size) == LONG_SIDE
    seen = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(seen, tuple)
    assert all(abs(one - other) <= 12 for one, other in zip(seen, colour, strict=True))


def test_each_colour_is_shown_in_its_place() -> None:
    rows, columns = 16, 24
    red, blue = bytes([220, 30, 30]), bytes([30, 30, 220])
    picture = opened(rgb(rows, columns, (red * 12 + blue * 12) * rows))
    left, right = picture.getpixel((96, 128)), picture.getpixel((288, 128))
    assert isinstance(left, tuple) and isinstance(right, tuple)
    assert left[0] > 180 and left[2] < 70
    assert right[2] > 180 and right[0] < 70
