"""A small picture of a clip as it forms: latents, or the colours they will have -> WEBP.

Where what renders knows no colours yet, it shows shape and motion: the three directions in which
the tokens of a frame differ most are found anew for each, the first becomes light and dark, the
others faint tints. No decoder runs.
"""

from __future__ import annotations

import ast
import io
import math
import struct
from collections.abc import Sequence
from operator import mul

from PIL import Image

from ltx2_patcher.values.errors import InvalidError

LONG_SIDE = 384  # pixels of the picture
MOST_TOKENS = 16_384  # of a frame of 4096 x 4096 pixels
_MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which numpy writes for any short header
_LEAD = len(_MAGIC) + 2
_LATENTS, _COLOURS = "<f2", "|u1"  # how numpy calls float16 and uint8
_SHOWN_TOKENS = 600  # of a larger frame each second, third, ... row and column is shown
_SAMPLE = 64  # tokens that the directions are found from
_ROUNDS = 4  # of the power iteration: a preview needs no more digits
_CONTRASTS = (52.0, 18.0, 18.0)  # levels a standard deviation: of Y, Cb and Cr

Vector = Sequence[float]


def preview(data: bytes) -> bytes:
    """The picture of a .npy file: float16, (channels, rows, columns), or uint8, (rows, columns, 3).

    Raises: InvalidError where it is no such file.
    """
    try:
        kind, shape, values = _parsed(data)
        small = _coloured(shape, values) if kind == _COLOURS else _tinted(shape, values)
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, struct.error) as error:
        raise InvalidError(
            f"latents that no preview can be made of: {error}",
            remedy="none is needed: the clip goes on without a preview",
        ) from error
    picture = io.BytesIO()
    small.save(picture, "WEBP", quality=70, method=1)
    return picture.getvalue()


def _parsed(data: bytes) -> tuple[str, tuple[int, int, int], bytes]:
    """Of what kind and shape the values are, and these. Raises: ValueError."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a .npy file")
    (length,) = struct.unpack_from("<H", data, len(_MAGIC))
    header = ast.literal_eval(data[_LEAD : _LEAD + length].decode("latin-1"))
    first, second, third = header["shape"]
    kind = header["descr"]
    if kind not in {_LATENTS, _COLOURS} or header["fortran_order"]:
        raise ValueError("not float16 or uint8, row by row")
    return kind, (first, second, third), data[_LEAD + length :]


def _coloured(shape: tuple[int, int, int], values: bytes) -> Image.Image:
    """The picture of colours. Raises: ValueError."""
    rows, columns, channels = shape
    _require_size(rows, columns)
    if channels != len(_CONTRASTS):
        raise ValueError(f"{channels} channels of colour")
    small = Image.frombytes("RGB", (columns, rows), values)
    return small.resize(_shown_size(columns, rows), Image.Resampling.BICUBIC)


def _tinted(shape: tuple[int, int, int], values: bytes) -> Image.Image:
    """The picture of latents. Raises: ValueError, struct.error."""
    channels, rows, columns = _thinned(shape, values)
    tokens = list(zip(*channels, strict=True))
    size = _shown_size(columns, rows)
    planes = [
        Image.frombytes("L", (columns, rows), _levels(tokens, direction, contrast)).resize(
            size, Image.Resampling.BICUBIC
        )
        for direction, contrast in zip(_directions(tokens), _CONTRASTS, strict=True)
    ]
    return Image.merge("YCbCr", planes).convert("RGB")


def _thinned(shape: tuple[int, int, int], data: bytes) -> tuple[list[Vector], int, int]:
    """Each channel of the tokens that are shown, less its mean, with their rows and columns."""
    count, rows, columns = shape
    _require_size(rows, columns)
    if count < 1:
        raise ValueError(f"{count} channels")
    size = rows * columns
    values = struct.unpack_from(f"<{count * size}e", data)
    apart = math.ceil(math.sqrt(size / _SHOWN_TOKENS))
    picked = [
        row * columns + column
        for row in range(0, rows, apart)
        for column in range(0, columns, apart)
    ]
    channels = [
        _centred([values[at + place] for place in picked]) for at in range(0, count * size, size)
    ]
    return channels, len(range(0, rows, apart)), len(range(0, columns, apart))


def _require_size(rows: int, columns: int) -> None:
    """Raises: ValueError."""
    if not (rows >= 1 and columns >= 1 and rows * columns <= MOST_TOKENS):
        raise ValueError(f"{rows} x {columns} tokens")


def _centred(values: Vector) -> Vector:
    if not math.isfinite(sum(values)):
        values = [value if math.isfinite(value) else 0.0 for value in values]
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def _directions(tokens: Sequence[Vector]) -> list[Vector]:
    """The three unit vectors along which a sample of the tokens differs most, each by power
    iteration at right angles to those before it. A sign means nothing, so the largest entry is
    positive: previews of one clip don't flicker.
    """
    sample = tokens[:: max(1, len(tokens) // _SAMPLE)]
    channels = list(zip(*sample, strict=True))
    found: list[Vector] = []
    for _ in _CONTRASTS:
        direction = _unit(_apart(max(sample, key=_square), found))
        for _ in range(_ROUNDS):
            along = [sum(map(mul, direction, token)) for token in sample]
            direction = _unit(_apart([sum(map(mul, along, each)) for each in channels], found))
        if max(direction, key=abs) < 0:
            direction = [-value for value in direction]
        found.append(direction)
    return found


def _apart(vector: Vector, others: Sequence[Vector]) -> Vector:
    """What of a vector is at right angles to these unit vectors."""
    for other in others:
        share = sum(map(mul, vector, other))
        vector = [value - share * part for value, part in zip(vector, other, strict=True)]
    return vector


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(_square(vector))
    return [value / length for value in vector] if length > 1e-9 else [0.0] * len(vector)


def _square(vector: Vector) -> float:
    return math.fsum(map(mul, vector, vector))


def _levels(tokens: Sequence[Vector], direction: Vector, contrast: float) -> bytes:
    """A byte for each token: 128 is the mean."""
    values = [sum(map(mul, direction, token)) for token in tokens]
    scale = contrast / (math.sqrt(_square(values) / len(values)) or 1.0)
    return bytes([min(255, max(0, round(128 + scale * value))) for value in values])


def _shown_size(columns: int, rows: int) -> tuple[int, int]:
    longest = max(columns, rows)
    return max(1, LONG_SIDE * columns // longest), max(1, LONG_SIDE * rows // longest)
