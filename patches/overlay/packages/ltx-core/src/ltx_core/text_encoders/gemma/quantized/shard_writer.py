"""One safetensors file, written front to back as its tensors come."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8  # bytes: of the widest dtype; safetensors allows no holes, so order alone can align
DEFAULT_METADATA = {"format": "pt"}  # without which transformers refuses a file
_ENTRY_BYTES = 192  # room for an entry beside its name: dtype, a shape of 5 dimensions, two offsets


class ShardWriter:
    """Writes tensors one by one and the header last, into the room left for it in front.

    Holds in memory only copies of what would leave the next tensor unaligned: small scales and states, which go last.
    The file is complete and on the disk once the context ends without an exception.
    """

    def __init__(self, file: Path, names: list[str], metadata: Mapping[str, str] = DEFAULT_METADATA) -> None:
        """Open `file` for tensors of these names. Raises: OSError."""
        self._metadata = dict(metadata)
        entries = sum(len(json.dumps(name)) + _ENTRY_BYTES for name in names)
        room = _ENTRY_BYTES + len(json.dumps(self._metadata)) + entries
        self._room = room + -(room + 8) % _ALIGNMENT
        self._stream = file.open("wb")
        self._stream.seek(8 + self._room)
        self._entries: dict[str, dict[str, object]] = {}
        self._last: list[tuple[str, torch.Tensor]] = []
        self._offset = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Append one tensor of the CPU. Raises: OSError."""
        if tensor.nbytes % _ALIGNMENT:
            self._last.append((name, tensor.clone()))
        else:
            self._write(name, tensor)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stream:
            if error is None:
                self._finish()

    def _finish(self) -> None:
        for name, tensor in sorted(self._last, key=lambda named: -named[1].element_size()):
            self._write(name, tensor)
        header = json.dumps({"__metadata__": self._metadata, **self._entries}, separators=(",", ":")).encode()
        assert len(header) <= self._room, "a tensor that was not announced"
        self._stream.seek(0)
        self._stream.write(self._room.to_bytes(8, "little") + header.ljust(self._room))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _write(self, name: str, tensor: torch.Tensor) -> None:
        end = self._offset + tensor.nbytes
        self._entries[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [self._offset, end],
        }
        self._stream.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
        self._offset = end
