"""The header of a safetensors file: bytes -> Header.

Layout: 8 bytes, the header's length as little-endian unsigned integer; then that many bytes of
JSON, an object of tensor name -> {dtype, shape, data_offsets}, with file-wide texts in
`__metadata__`; then the data, without holes. Source: the format section of safetensors' README, and
its `Metadata` reader (huggingface/safetensors, safetensors/src/tensor.rs) for what it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import NoReturn

from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Header, Tensor

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""safetensors refuses a longer one."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
_REMEDY = "download the file again; its size and sha256 stand on the page it came from"

_OTHERS = (
    (
        b"GGUF",
        "a GGUF file, which no upstream reads",
        "make one that it does: `ltx2-patcher inspect` on the file says how",
    ),
    (
        b"version ",
        "a pointer of git-lfs in the place of the file",
        "run `git lfs pull` in its folder",
    ),
    (b"<", "a web page in the place of the file", "download it again, signed in where need be"),
)
"""How other files begin that lie where a safetensors file should: as lengths, far too long ones."""


def parse_length(prefix: bytes, file_bytes: int, origin: str) -> int:
    """How long the header is, from the first 8 bytes of a file of `file_bytes` bytes.

    Raises: InvalidError where the file is too short or no safetensors file.
    """
    if len(prefix) < LENGTH_BYTES:
        raise InvalidError(f"{origin} is cut off: {file_bytes} bytes", remedy=_REMEDY)
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        for beginning, what, remedy in _OTHERS:
            if prefix.startswith(beginning):
                raise InvalidError(f"{origin} is {what}", remedy=remedy)
        raise InvalidError(f"{origin} is not a safetensors file", remedy=_REMEDY)
    if LENGTH_BYTES + length > file_bytes:
        raise InvalidError(f"{origin} is cut off within its header", remedy=_REMEDY)
    return length


def parse_header(data: bytes, data_bytes: int, origin: str) -> Header:
    """The header in `data`, of a file with `data_bytes` bytes after it.

    Raises: InvalidError where it is no header, or promises other data than the file has.
    """
    try:
        raw = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidError(
            f"the header of {origin} can't be read: {error}", remedy=_REMEDY
        ) from error
    if not isinstance(raw, dict):
        raise _invalid(origin, "it is not an object")
    metadata = raw.pop("__metadata__", {})
    if not _is_texts(metadata):
        raise _invalid(origin, "its metadata is not texts")
    tensors: dict[str, Tensor] = {}
    for name, entry in raw.items():
        if not name.isprintable():
            raise _invalid(origin, f"a tensor is named {name!a}")
        tensors[name] = _tensor(name, entry, origin)
    end = 0
    for start, size in sorted((tensor.start, tensor.bytes) for tensor in tensors.values()):
        if start != end:
            raise _invalid(origin, f"tensors overlap or leave a hole at byte {end}")
        end = start + size
    if end > data_bytes:
        raise InvalidError(
            f"{origin} is cut off: {data_bytes} of {end} bytes of weights are there",
            remedy=_REMEDY,
        )
    if end < data_bytes:
        raise _invalid(origin, f"{data_bytes - end} bytes follow its last tensor")
    return Header(tensors, metadata)


def _tensor(name: str, entry: object, origin: str) -> Tensor:
    if not isinstance(entry, Mapping):
        raise _invalid(origin, f"{name} is not described")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _invalid(origin, f"{name} has the unknown dtype {dtype!a}")
    shape, offsets = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        raise _invalid(origin, f"{name} has no shape and place")
    start, end = offsets
    if (end - start) * 8 != prod(shape) * _BITS[dtype]:
        raise _invalid(origin, f"{name} does not fill its place")
    return Tensor(dtype, shape, end - start, start)


def _counts(value: object) -> tuple[int, ...] | None:
    # `type` and not isinstance: JSON's true is an int to Python.
    if isinstance(value, list) and all(type(item) is int and item >= 0 for item in value):
        return tuple(value)
    return None


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands twice")
    return result


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _invalid(origin: str, why: str) -> InvalidError:
    return InvalidError(f"the header of {origin} is wrong: {why}", remedy=_REMEDY)
