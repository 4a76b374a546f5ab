"""The header of a GGUF file: bytes -> Header.

Layout (ggml/docs/gguf.md, versions 2 and 3, little-endian): the magic "GGUF", a uint32 version, a
uint64 count of tensors and one of settings; each setting a text (uint64 length, UTF-8), a uint32
type and its value, an array being a uint32 type, a uint64 count and the values; each tensor a text,
a uint32 count of dimensions, uint64 lengths with the innermost first, a uint32 GGML type and a
uint64 offset into the data, which begins at the next multiple of `general.alignment` (32). What a
tensor takes follows from its type: so many bytes a block of so many values (ggml.h, `ggml_type`;
ggml-common.h for the blocks).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Header, Tensor

MAGIC = b"GGUF"
_REMEDY = "download the file again; its size and sha256 stand on the page it came from"
_VERSIONS = (2, 3)
_TEXT, _ARRAY = 8, 9
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
"""GGML type -> name, values a block, bytes a block."""
_MOST_DIMENSIONS = 8
_DEEPEST = 4  # arrays in arrays; no known writer nests them


def parse_gguf(data: memoryview, origin: str) -> Header:
    """The header of the whole file `data`; settings that are no array are its metadata, as texts.

    Shapes are turned round, the outermost length first as everywhere else.

    Raises: InvalidError where it is no GGUF file, or promises other data than the file has.
    """
    if bytes(data[:4]) != MAGIC:
        raise InvalidError(f"{origin} is not a GGUF file", remedy=_REMEDY)
    try:
        return _parsed(_Cursor(data, 4), len(data), origin)
    except _Torn as error:
        raise InvalidError(f"{origin} is cut off within its header", remedy=_REMEDY) from error
    except UnicodeDecodeError as error:
        raise _invalid(origin, "a name is no UTF-8") from error


class _Torn(Exception):
    """The data ends before what it promises."""


@dataclass(slots=True)
class _Cursor:
    """Where reading stands."""

    data: memoryview
    at: int

    def skip(self, size: int) -> memoryview:
        end = self.at + size
        if end > len(self.data):
            raise _Torn
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, kind: str) -> int | float | bool:
        (value,) = struct.unpack(kind, self.skip(struct.calcsize(kind)))
        assert isinstance(value, int | float)
        return value

    def count(self, kind: str) -> int:
        return int(self.number(kind))

    def text(self) -> str:
        return str(self.skip(self.count("<Q")), "utf-8")


def _parsed(cursor: _Cursor, size: int, origin: str) -> Header:
    version = cursor.count("<I")
    if version not in _VERSIONS:
        raise InvalidError(
            f"{origin} is a GGUF file of version {version}, or for a big-endian machine",
            remedy="take one of version 2 or 3, as llama.cpp has written since 2023",
        )
    tensors, settings = cursor.count("<Q"), cursor.count("<Q")
    metadata: dict[str, str] = {}
    for _ in range(settings):
        key = cursor.text()
        value = _value(cursor, cursor.count("<I"), origin)
        if value is not None:
            metadata[key] = str(value)
    described: list[tuple[str, Tensor]] = [_tensor(cursor, origin) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", "32")
    if not alignment.isdecimal() or not int(alignment):
        raise _invalid(origin, f"its alignment is {alignment!a}")
    start = -(-cursor.at // int(alignment)) * int(alignment)
    found = dict(described)
    if len(found) != len(described):
        raise _invalid(origin, "a tensor stands twice")
    end = start + max((tensor.start + tensor.bytes for tensor in found.values()), default=0)
    if found and end > size:
        raise InvalidError(
            f"{origin} is cut off: {size} of {end} bytes are there",
            remedy=_REMEDY,
        )
    return Header(found, metadata)


def _value(cursor: _Cursor, kind: int, origin: str, depth: int = 0) -> str | float | None:
    """The value; None for an array, which is only passed over."""
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind == _TEXT:
        return cursor.text()
    if kind != _ARRAY:
        raise _invalid(origin, f"a setting has the unknown type {kind}")
    if depth == _DEEPEST:
        raise _invalid(origin, "a setting nests arrays too deep")
    inner, count = cursor.count("<I"), cursor.count("<Q")
    if inner in _SCALARS:
        cursor.skip(count * struct.calcsize(_SCALARS[inner]))
        return None
    for _ in range(count):
        if inner == _TEXT:
            cursor.skip(cursor.count("<Q"))
        else:
            _value(cursor, inner, origin, depth + 1)
    return None


def _tensor(cursor: _Cursor, origin: str) -> tuple[str, Tensor]:
    name = cursor.text()
    if not name.isprintable():
        raise _invalid(origin, f"a tensor is named {name!a}")
    dimensions = cursor.count("<I")
    if dimensions > _MOST_DIMENSIONS:
        raise _invalid(origin, f"{name} has {dimensions} dimensions")
    lengths = [cursor.count("<Q") for _ in range(dimensions)]
    number, start = cursor.count("<I"), cursor.count("<Q")
    if number not in _TYPES:
        raise InvalidError(
            f"{origin} stores {name} in a GGML type that is not known here ({number})",
            remedy="take a file of a usual type, such as Q8_0, Q6_K or Q4_K_M",
        )
    kind, values, size = _TYPES[number]
    if lengths and lengths[0] % values:
        raise _invalid(origin, f"{name} does not fill its blocks")
    return name, Tensor(kind, tuple(reversed(lengths)), prod(lengths) // values * size, start)


def _invalid(origin: str, why: str) -> InvalidError:
    return InvalidError(f"the header of {origin} is wrong: {why}", remedy=_REMEDY)
