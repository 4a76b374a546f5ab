"""One safetensors file whose tensors are known beforehand, written beside its place and shown when it is complete.

Layout: 8 bytes little-endian header length, the JSON header, the tensors without holes. Each tensor begins at a
multiple of its dtype's size, since what is no multiple of 8 bytes long comes last, widest dtype first.
"""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from ltx_core.weight_files.errors import UnwritableOutput

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Safetensors' spelling of each dtype."""

_SUFFIX = ".safetensors"
_ALIGNMENT = 8
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor that is to be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class OutputFile:
    """Takes tensors in any order, each to its own place."""

    def __init__(self, stream: BinaryIO, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
        """Write the header. Raises: OSError."""
        header, starts = lay_out(entries, metadata)
        self._stream = stream
        self._starts = {name: len(header) + start for name, start in starts.items()}
        stream.write(header)

    def write(self, entry: Entry, tensor: torch.Tensor) -> None:
        """Put one tensor of the CPU where its entry belongs. Raises: OSError."""
        assert (tensor.dtype, tuple(tensor.shape)) == (entry.dtype, entry.shape), entry
        self._stream.seek(self._starts.pop(entry.name))
        self._stream.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())

    def close(self) -> None:
        """Leave the file complete on the disk. Raises: OSError."""
        assert not self._starts, f"never written: {sorted(self._starts)}"
        self._stream.flush()
        os.fsync(self._stream.fileno())


def lay_out(entries: Sequence[Entry], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, int]]:
    """Return the header, its length in front, and where each tensor starts behind it."""
    whole = [entry for entry in entries if entry.nbytes % _ALIGNMENT == 0]
    rest = sorted((entry for entry in entries if entry.nbytes % _ALIGNMENT), key=lambda entry: -entry.dtype.itemsize)
    described: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    starts = {}
    end = 0
    for entry in (*whole, *rest):
        start, end = end, end + entry.nbytes
        starts[entry.name] = start
        described[entry.name] = {
            "dtype": DTYPES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, starts


@contextmanager
def new_file(output: Path, entries: Sequence[Entry], metadata: Mapping[str, str]) -> Iterator[OutputFile]:
    """Give what writes `output`, which appears complete when the context ends, or not at all.

    It lies beside its place meanwhile, locked, so that two runs never share it; what a killed run left there is
    overwritten. Raises: UnwritableOutput.
    """
    require_place(output)
    output = output.absolute()
    partial = output.with_name(f".{output.name}{_PARTIAL}")
    with _translated(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with _locked(partial, output) as stream:
            try:
                _require_room(output, sum(entry.nbytes for entry in entries))
                file = OutputFile(stream, entries, metadata)
                yield file
                file.close()
                partial.rename(output)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise


def require_place(output: Path) -> None:
    """`output` names a safetensors file that is not there yet. Raises: UnwritableOutput."""
    if output.suffix != _SUFFIX:
        raise UnwritableOutput(f"{output} is no name for a safetensors file", f"give one that ends with {_SUFFIX}")
    if os.path.lexists(output):
        raise UnwritableOutput(f"{output} exists already", "remove it, or give another output")


def _require_room(output: Path, needed: int) -> None:
    free = shutil.disk_usage(output.parent).free
    if free < needed:
        raise UnwritableOutput(
            f"{output.parent} has {_gib(free)} free where {_gib(needed)} are needed",
            "free some space, or give an output on another disk",
        )


@contextmanager
def _locked(partial: Path, output: Path) -> Iterator[BinaryIO]:
    """The partial file, empty, and this run's alone. Raises: UnwritableOutput where another holds it."""
    with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(stream.fileno()).st_ino != partial.stat().st_ino:  # a run that ended meanwhile has shown it
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError) as error:
            raise UnwritableOutput(f"another run is writing {output}", "wait for it to end") from error
        stream.truncate()
        yield stream


@contextmanager
def _translated(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(
            f"{output} cannot be written ({error.strerror or error})",
            "check its disk's space and its folder's permissions",
        ) from error


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
