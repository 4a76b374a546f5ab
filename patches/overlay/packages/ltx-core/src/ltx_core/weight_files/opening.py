"""Opening whatever weights a path holds."""

import json
from pathlib import Path

from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.gguf_file import GgufWeights, files_of, is_gguf
from ltx_core.weight_files.safetensors_weights import SafetensorsWeights
from ltx_core.weight_files.weights import Weights

_SUFFIX = ".safetensors"
_INDEX_SUFFIX = ".safetensors.index.json"
_DIFFUSERS_FOLDERS = ("transformer", "connectors")  # of a whole pipeline, the two whose tensors only change their names
_AGAIN = "download it again"


def open_weights(path: Path) -> Weights:
    """Return the weights of a file, or of a folder: one model in shards, or a pipeline of diffusers.

    Raises: UnreadableFile.
    """
    if path.is_dir():
        folders = [path / name for name in _DIFFUSERS_FOLDERS if (path / name).is_dir()] or [path]
        return SafetensorsWeights(file for folder in folders for file in _shards(folder))
    if is_gguf(path):
        return GgufWeights(files_of(path))
    if path.suffix != _SUFFIX:
        raise UnreadableFile(
            f"{path} is no file of weights that is read here", f"give a {_SUFFIX} or GGUF file, or a folder"
        )
    return SafetensorsWeights([path])


def _shards(folder: Path) -> list[Path]:
    """The files of the one model in a folder, complete by its index where it has one. Raises: UnreadableFile."""
    indexes = sorted(folder.glob(f"*{_INDEX_SUFFIX}"))
    if len(indexes) > 1:
        raise UnreadableFile(f"{folder} holds several models ({', '.join(i.name for i in indexes)})", "give one file")
    if not indexes:
        files = sorted(folder.glob(f"*{_SUFFIX}"))
        if len(files) != 1:
            raise UnreadableFile(f"{folder} holds {len(files)} {_SUFFIX} files and no index", "give the file itself")
        return files
    (index,) = indexes
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFile(f"{index} cannot be read", _AGAIN) from error
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise UnreadableFile(f"{folder} lacks {', '.join(missing)}, which {index.name} names", _AGAIN)
    return [folder / name for name in names]
