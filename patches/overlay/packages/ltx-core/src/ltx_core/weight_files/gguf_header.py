"""The header of a GGUF file: its settings, and where its tensors lie.

Layout (ggml/docs/gguf.md, versions 2 and 3, little-endian): the magic "GGUF", a uint32 version, a uint64 count of
tensors and one of settings; each setting a text (uint64 length, UTF-8), a uint32 type and its value, an array being a
uint32 type, a uint64 count and the values; each tensor a text, a uint32 count of dimensions, uint64 lengths with the
innermost first, a uint32 GGML type and a uint64 offset into the data, which begins at the next multiple of
`general.alignment` (32).

The library's own reader makes arrays of every token of a tokenizer, which for a Gemma's takes the better part of a
minute.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_TEXT, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ALIGNMENT = "general.alignment"
_MOST_NUMBERS = 16  # of an array that is kept: a shape is one, a vocabulary is not

Setting = str | int | float | tuple[int | float, ...]


class TornHeader(ValueError):  # noqa: N818 - the name says what happened
    """The bytes are no header of these versions, or end before it does."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """One tensor as a header describes it."""

    name: str
    shape: tuple[int, ...]  # the outermost length first
    kind: int  # the number of its GGML type
    start: int  # of its bytes in the file


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What one file says of itself."""

    settings: Mapping[str, Setting]  # long arrays and those of texts left out
    tensors: tuple[TensorPlace, ...]


def parse_gguf(data: memoryview) -> GgufHeader:
    """The header of a whole file. Raises: TornHeader."""
    try:
        return _parsed(_Cursor(data))
    except (struct.error, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise TornHeader(f"its header ends early or is damaged: {error}") from error


class _Cursor:
    """Reads a header front to back."""

    def __init__(self, data: memoryview) -> None:
        self.at = 0
        self._data = data

    def numbers(self, kind: str, count: int) -> tuple[int | float, ...]:
        values = struct.unpack_from(f"<{count}{kind}", self._data, self.at)
        self.at += struct.calcsize(f"<{count}{kind}")
        return values

    def count(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self.at)
        self.at += struct.calcsize(kind)
        return value

    def skip(self, size: int) -> memoryview:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise TornHeader("its header ends early")
        return self._data[start : self.at]

    def text(self) -> str:
        return str(self.skip(self.count("Q")), "utf-8")


def _parsed(cursor: _Cursor) -> GgufHeader:
    magic, version = cursor.skip(len(MAGIC)), cursor.count("I")
    if magic != MAGIC or version not in _VERSIONS:
        raise TornHeader("it is none of version 2 or 3")
    tensors, count = cursor.count("Q"), cursor.count("Q")
    settings: dict[str, Setting] = {}
    for _ in range(count):
        name = cursor.text()
        if (value := _value(cursor, cursor.count("I"))) is not None:
            settings[name] = value
    places = [_place(cursor) for _ in range(tensors)]
    alignment = settings.get(_ALIGNMENT, 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise TornHeader(f"its alignment is {alignment}")
    start = -(-cursor.at // alignment) * alignment
    return GgufHeader(
        settings, tuple(TensorPlace(name, shape, kind, start + offset) for name, shape, kind, offset in places)
    )


def _value(cursor: _Cursor, kind: int) -> Setting | None:
    """The value; None for an array that is only passed over."""
    if kind in _SCALARS:
        return cursor.numbers(_SCALARS[kind], 1)[0]
    if kind == _TEXT:
        return cursor.text()
    if kind != _ARRAY:
        raise TornHeader(f"a setting has the unknown type {kind}")
    inner, count = cursor.count("I"), cursor.count("Q")
    if inner in _SCALARS and count <= _MOST_NUMBERS:
        return cursor.numbers(_SCALARS[inner], count)
    if inner in _SCALARS:
        cursor.skip(count * struct.calcsize(_SCALARS[inner]))
        return None
    for _ in range(count):
        _value(cursor, inner)
    return None


def _place(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.text()
    lengths = [cursor.count("Q") for _ in range(cursor.count("I"))]
    return name, tuple(reversed(lengths)), cursor.count("I"), cursor.count("Q")
