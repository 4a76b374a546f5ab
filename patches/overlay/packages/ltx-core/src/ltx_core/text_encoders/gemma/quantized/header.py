"""Headers of safetensors files, read without their data.

Layout (safetensors 0.3 and newer): 8 bytes little-endian header length, the JSON header, the data; the header gives
each tensor's dtype, shape and byte range relative to the data's start.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself
_GIT_LFS_MAGIC = b"version https://git-lfs"
_AGAIN = "download this file again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor as a header describes it."""

    name: str
    dtype: str  # safetensors' own spelling: "F32", "BF16", "U8"
    shape: tuple[int, ...]
    nbytes: int
    file: Path

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What one safetensors file says of itself."""

    tensors: tuple[StoredTensor, ...]
    metadata: dict[str, str]


def read_header(file: Path) -> Header:
    """The header of a file that is exactly as long as its header says. Raises: GemmaRootError."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(_LENGTH_BYTES)
            if _GIT_LFS_MAGIC.startswith(start) and start:
                raise GemmaRootError(
                    f"{file} is a git-lfs pointer, not the weights", "run `git lfs pull` in its folder"
                )
            length = int.from_bytes(start, "little")
            if len(start) < _LENGTH_BYTES or length > _MAX_HEADER_BYTES or _LENGTH_BYTES + length > size:
                raise GemmaRootError(f"{file} ({size} bytes) is no complete safetensors file", _AGAIN)
            text = stream.read(length)
    except OSError as error:
        raise GemmaRootError(
            f"{file} cannot be read ({error.strerror})", "check the file and its permissions"
        ) from error
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", {})
        tensors = tuple(
            StoredTensor(name, entry["dtype"], tuple(entry["shape"]), _nbytes(entry["data_offsets"]), file)
            for name, entry in entries.items()
        )
        data_bytes = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GemmaRootError(f"{file} has a damaged safetensors header", _AGAIN) from error
    expected = _LENGTH_BYTES + length + data_bytes
    if size != expected:
        raise GemmaRootError(f"{file} has {size} bytes where its header says {expected}", _AGAIN)
    return Header(tensors, metadata)


def _nbytes(offsets: list[int]) -> int:
    begin, end = offsets
    return end - begin
