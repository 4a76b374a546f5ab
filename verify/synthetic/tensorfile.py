"""Writing safetensors one tensor at a time, the same bytes each time.

The library's own writer wants all tensors at once and orders its metadata by a random hash.
Layout: 8 bytes of header length, little-endian; the header, JSON padded with spaces to a multiple
of 8; the tensors, back to back (https://github.com/huggingface/safetensors#format).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # by name in the file

Kinds = Mapping[str, torch.Tensor]  # by name in the file; only shape and dtype count

DTYPES: Mapping[torch.dtype, str] = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.uint8: "U8",
}


def of_dtype(shapes: Shapes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The kinds of tensors of `shapes`, all of one dtype."""
    return {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in shapes.items()}


def write_tensors(
    path: Path,
    kinds: Kinds,
    metadata: Mapping[str, str],
    draw: Callable[[str], torch.Tensor],
) -> None:
    """`path` holds a tensor of each of `kinds`, as `draw` gives it; one is drawn at a time.

    Raises: OSError.
    """
    header = json.dumps(_header(kinds, metadata), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, kind in kinds.items():
            tensor = draw(name)
            assert (tensor.shape, tensor.dtype) == (kind.shape, kind.dtype), name
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def bytes_of(kinds: Kinds) -> int:
    """What the tensors take, without the header."""
    return sum(kind.nbytes for kind in kinds.values())


def _header(kinds: Kinds, metadata: Mapping[str, str]) -> dict[str, Mapping[str, object]]:
    header: dict[str, Mapping[str, object]] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, kind in kinds.items():
        start, end = end, end + kind.nbytes
        header[name] = {
            "dtype": DTYPES[kind.dtype],
            "shape": list(kind.shape),
            "data_offsets": [start, end],
        }
    return header
