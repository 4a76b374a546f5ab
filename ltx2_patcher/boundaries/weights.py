"""Weight files on disk: headers only, no weight is ever read."""

from __future__ import annotations

import mmap
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ltx2_patcher.boundaries.disk import below, translated
from ltx2_patcher.rules.models.comfy_marks import marker_tensors, marks_of
from ltx2_patcher.rules.models.gemma import INDEX, GemmaFiles
from ltx2_patcher.rules.models.gguf_header import MAGIC, parse_gguf
from ltx2_patcher.rules.models.safetensors_header import LENGTH_BYTES, parse_header, parse_length
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.weights import Header

_MOST_FILES = 10_000
"""A root given by mistake, such as a home folder, must not be walked to its end."""


def read_header(path: Path) -> Header:
    """The header of a safetensors file, with the marks of ComfyUI that are tensors of it.

    Raises: UsageError where there is no file; InvalidError where it is torn or something else;
    OutsideError where it can't be read.
    """
    with translated(path, reading=True):
        _require_file(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = parse_length(file.read(LENGTH_BYTES), size, str(path))
            start = LENGTH_BYTES + length
            header = parse_header(file.read(length), size - start, str(path))
            markers: dict[str, bytes] = {}
            for layer, tensor in marker_tensors(header).items():
                file.seek(start + tensor.start)
                markers[layer] = file.read(tensor.bytes)
    return replace(header, marks=marks_of(header.metadata, markers))


def is_gguf(path: Path) -> bool:
    """Whether the file begins as one of GGUF. Raises: UsageError, OutsideError as `read_header`."""
    with translated(path, reading=True):
        _require_file(path)
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC


def read_gguf(path: Path) -> Header:
    """The header of a GGUF file. Raises: as `read_header`."""
    with translated(path, reading=True):
        _require_file(path)
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return parse_gguf(data, str(path))


def read_diffusers(folder: Path) -> Header | None:
    """The header of the transformer in a folder of diffusers, or in its transformer's own; None
    where it is neither.

    Raises: InvalidError where it is torn; OutsideError where it can't be read.
    """
    for inner in (folder, folder / "transformer"):
        with translated(inner, reading=True):
            config = inner / "config.json"
            if not config.is_file() or b'"_class_name"' not in config.read_bytes():
                continue
            shards = sorted(inner.glob("*.safetensors"))
            headers = [read_header(shard) for shard in shards]
            tensors = {name: t for header in headers for name, t in header.tensors.items()}
            return Header(tensors, {})
    return None


def _require_file(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"{path} does not exist", remedy="check the path")
    if not path.is_file():  # opening a pipe would wait for a writer
        raise UsageError(f"{path} is no plain file", remedy="name a weight file")


def read_gemma(root: Path) -> GemmaFiles:
    """The files of a Gemma root: the folder itself, or the one below it with the model files.

    Upstream takes the folder of any `model*.safetensors` below the root, and every safetensors file
    in it.

    Raises: UsageError where there is no root; InvalidError where it holds no model, or several;
    OutsideError where it can't be read.
    """
    with translated(root, reading=True):
        if not root.is_dir():
            raise UsageError(
                f"{root} is not a folder", remedy="name the folder that holds the Gemma files"
            )
        found = list(islice(below(root), _MOST_FILES))
        if len(found) == _MOST_FILES:
            raise UsageError(
                f"{root} holds {_MOST_FILES} files and more",
                remedy="name the folder of the Gemma itself",
            )
        files = [path for path in sorted(found) if path.is_file()]
        folders = {p.parent for p in files if p.match("model*.safetensors")}
        if len(folders) != 1:
            holds = "no model*.safetensors" if not folders else "several models in subfolders"
            raise InvalidError(
                f"{root} holds {holds}", remedy="give the root of one downloaded Gemma"
            )
        (folder,) = folders
        if not (folder / "config.json").is_file():
            raise InvalidError(
                f"{folder} has no config.json",
                remedy="download it too, from the model's own page",
            )
        index = folder / INDEX
        processors = [path for path in files if path.name == "processor_config.json"]
        return GemmaFiles(
            config=(folder / "config.json").read_bytes(),
            index=index.read_bytes() if index.is_file() else None,
            shards={
                str(path.relative_to(folder)): read_header(path)
                for path in files
                if path.suffix == ".safetensors" and path.is_relative_to(folder)
            },
            beside=frozenset(path.name for path in files),
            packed=False,
            processor=processors[0].read_bytes() if processors else None,
        )
