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

DTYPES: Mapping[torch.dtype, str] = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
}


def write_tensors(
    path: Path,
    shapes: Shapes,
    dtype: torch.dtype,
    metadata: Mapping[str, str],
    draw: Callable[[str, Shape], torch.Tensor],
) -> None:
    """`path` holds each tensor of `shapes`, as `draw` gives it; one is in memory at a time.

    Raises: OSError.
    """
    header = json.dumps(_header(shapes, dtype, metadata), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, shape in shapes.items():
            tensor = draw(name, shape)
            assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype), name
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def bytes_of(shapes: Shapes, dtype: torch.dtype) -> int:
    """What the tensors take, without the header."""
    return sum(torch.Size(shape).numel() for shape in shapes.values()) * dtype.itemsize


def _header(
    shapes: Shapes, dtype: torch.dtype, metadata: Mapping[str, str]
) -> dict[str, Mapping[str, object]]:
    header: dict[str, Mapping[str, object]] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + bytes_of({name: shape}, dtype)
        header[name] = {"dtype": DTYPES[dtype], "shape": shape, "data_offsets": [start, end]}
    return header
