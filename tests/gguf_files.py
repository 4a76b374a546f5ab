"""GGUF files as the library that llama.cpp and ComfyUI-GGUF convert with writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

Kinds = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name -> (GGML type, shape with the outermost length first)."""


def write_gguf(
    path: Path, architecture: str, tensors: Kinds, **settings: str | int | list[str]
) -> Path:
    """A file of these tensors, all of their bytes zero; a setting's name has "__" for its dot."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in settings.items():
        name = key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        else:
            writer.add_array(name, value)
    for name, (kind, shape) in tensors.items():
        ggml = gguf.GGMLQuantizationType[kind]
        stored = gguf.quant_shape_to_byte_shape(shape, ggml)
        writer.add_tensor(name, np.zeros(stored, np.uint8), raw_dtype=ggml)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
