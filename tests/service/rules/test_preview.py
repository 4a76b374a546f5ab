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


def npy(shape: Sequence[int], values: Sequence[float], descr: str = "<f2") -> bytes:
    """As numpy.save writes it."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    lead = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return lead + header + struct.pack(f"<{len(values)}e", *values)


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
