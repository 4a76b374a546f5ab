"""Safetensors files written in any order and piece by piece, the same bytes each time.

The library's own writer wants all tensors at once and orders its metadata by a random hash.
Layout: 8 bytes of header length, little-endian; the header, JSON padded with spaces to a multiple
of 8; the tensors, back to back (https://github.com/huggingface/safetensors#format).
"""

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # by name in the file

DTYPES: Mapping[torch.dtype, str] = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.uint8: "U8",
}

_BEHIND = 2  # pieces that wait to be written while the next one is made


@dataclass(frozen=True, slots=True)
class Kind:
    """What the header says of a tensor."""

    shape: Shape
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """What it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


Kinds = Mapping[str, Kind]  # by name in the file, in its order


def lay_out(path: Path, kinds: Kinds, metadata: Mapping[str, str]) -> None:
    """A new file `path` has its header and its length; its tensors are zero.

    Where the disk knows sparse files, as all usual ones do, they take no room yet.
    Raises: OSError.
    """
    header = _header(kinds, metadata)
    with path.open("xb") as file:
        file.write(header)
        file.truncate(len(header) + bytes_of(kinds))


def starts(kinds: Kinds, metadata: Mapping[str, str]) -> dict[str, int]:
    """Where in the file each tensor begins."""
    found, end = {}, len(_header(kinds, metadata))
    for name, kind in kinds.items():
        found[name] = end
        end += kind.nbytes
    return found


def fill(
    path: Path, pieces: Iterable[tuple[int, torch.Tensor]], wrote: Callable[[int], None]
) -> None:
    """The file `path` holds each of `pieces`, tensors on the CPU, from where it is said to begin.

    One thread writes while this one takes the next piece; `wrote` is told the bytes of each.
    Raises: OSError, and what `pieces` raises.
    """
    with path.open("r+b") as file, ThreadPoolExecutor(1) as writer:

        def write(start: int, piece: torch.Tensor) -> int:
            file.seek(start)
            return file.write(piece.reshape(-1).view(torch.uint8).numpy().data)

        waiting: deque[Future[int]] = deque()
        for start, piece in pieces:
            if len(waiting) == _BEHIND:
                wrote(waiting.popleft().result())
            waiting.append(writer.submit(write, start, piece))
        for written in waiting:
            wrote(written.result())


def bytes_of(kinds: Kinds) -> int:
    """What the tensors take, without the header."""
    return sum(kind.nbytes for kind in kinds.values())


def file_bytes(kinds: Kinds, metadata: Mapping[str, str]) -> int:
    """What the file takes."""
    return len(_header(kinds, metadata)) + bytes_of(kinds)


def _header(kinds: Kinds, metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Mapping[str, object]] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, kind in kinds.items():
        start, end = end, end + kind.nbytes
        header[name] = {
            "dtype": DTYPES[kind.dtype],
            "shape": list(kind.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
