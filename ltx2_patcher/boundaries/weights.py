"""Weight files on disk: headers only, no weight is ever read."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from ltx2_patcher.boundaries.disk import below, translated
from ltx2_patcher.rules.models.gemma import INDEX, GemmaFiles
from ltx2_patcher.rules.models.safetensors_header import LENGTH_BYTES, parse_header, parse_length
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.weights import Header

_MOST_FILES = 10_000
"""A root given by mistake, such as a home folder, must not be walked to its end."""


def read_header(path: Path) -> Header:
    """The header of a safetensors file.

    Raises: UsageError where there is no file; InvalidError where it is torn or something else;
    OutsideError where it can't be read.
    """
    with translated(path, reading=True):
        if not path.exists():
            raise UsageError(f"{path} does not exist", remedy="check the path")
        if not path.is_file():  # opening a pipe would wait for a writer
            raise UsageError(f"{path} is no plain file", remedy="name a safetensors file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = parse_length(file.read(LENGTH_BYTES), size, str(path))
            return parse_header(file.read(length), size - LENGTH_BYTES - length, str(path))


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
