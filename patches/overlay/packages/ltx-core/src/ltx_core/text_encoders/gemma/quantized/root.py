"""The files of a Gemma root: where the model lies, its config, its complete set of shards.

A root is a folder, or from upstream 1.2.0 on also one packed file.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx_core.text_encoders.gemma.quantized import methods
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor, read_header
from ltx_core.text_encoders.gemma.quantized.methods import Method

SHARD_PATTERN = "model*.safetensors"  # upstream looks for the model by this pattern
INDEX_NAME = "model.safetensors.index.json"
CONFIG_NAME = "config.json"
PACKED_CONFIG = "gemma_config"  # the metadata of a packed file that holds it (gemma_assets.py of upstream 1.2.0)
_SECTIONS = ("text_config", "vision_config", "quantization_config")
_NUMBERED = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
_AGAIN = "download it again, or give it back its name"


@dataclass(frozen=True, slots=True)
class GemmaShards:
    """The shards of one model, complete by their headers."""

    files: tuple[Path, ...]
    tensors: tuple[StoredTensor, ...]


def find_model(gemma_root: Path) -> Path | None:
    """The folder that upstream takes the model from: that of the first match under the root, None if none matches.

    A root that is a file is the model itself: weights, config and tokenizer packed into one.
    """
    if gemma_root.is_file():
        return gemma_root
    first = next(gemma_root.rglob(SHARD_PATTERN), None)
    return None if first is None else first.parent


def require_model(gemma_root: Path) -> Path:
    """The one folder under the root that holds a model, or the packed file. Raises: GemmaRootError."""
    if gemma_root.is_file():
        return gemma_root
    folders = sorted({match.parent for match in gemma_root.rglob(SHARD_PATTERN)})
    if not folders:
        raise GemmaRootError(
            f"no {SHARD_PATTERN} lies under {gemma_root}",
            "give the folder that the Gemma repository was downloaded to",
        )
    if len(folders) > 1:
        raise GemmaRootError(
            f"{gemma_root} holds several models ({', '.join(str(f) for f in folders)})", "give the folder of one"
        )
    return folders[0]


def read_config(model: Path) -> dict[str, Any]:
    """The config of the model's folder or packed file, {} where there is none. Raises: GemmaRootError."""
    if model.is_file():
        source, text = f"{PACKED_CONFIG} of {model}", read_header(model).metadata.get(PACKED_CONFIG)
    else:
        source, text = str(model / CONFIG_NAME), _text(model / CONFIG_NAME)
    if text is None:
        return {}
    try:
        config = json.loads(text)
    except ValueError as error:
        raise GemmaRootError(f"{source} cannot be read as JSON", "download it again") from error
    if not isinstance(config, dict):
        raise GemmaRootError(f"{source} is not a JSON object", "download it again")
    if odd := [name for name in _SECTIONS if not isinstance(config.get(name, {}), dict | None)]:
        raise GemmaRootError(f"{odd[0]} in {source} is not a JSON object", "download it again")
    return config


def _text(file: Path) -> str | None:
    """What the file says, None if there is none. Raises: GemmaRootError."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GemmaRootError(f"{file} cannot be read as JSON", "download it again") from error


def stated_methods(config: dict[str, Any], model: Path) -> tuple[Method, ...]:
    """The methods of one label by which the config may say that the weights are quantized, none if it says nothing.

    Raises: GemmaRootError.
    """
    settings = config.get("quantization_config")
    if not settings:
        return ()
    if stated := tuple(method for method in methods.METHODS if method.may_be_stated(settings)):
        return tuple(method for method in stated if method.label == stated[0].label)
    raise GemmaRootError(
        f"{model} is quantized with {settings.get('quant_method', 'bitsandbytes')}, which is not supported here",
        "use a bf16 Gemma root, or one quantized with bitsandbytes",
    )


def read_shards(model: Path) -> GemmaShards:
    """The complete shards of the model, every name once. Raises: GemmaRootError."""
    files = (model,) if model.is_file() else _listed_files(model)
    home: dict[str, StoredTensor] = {}
    for file in files:
        for tensor in read_header(file).tensors:
            if (other := home.get(tensor.name)) is not None:
                raise GemmaRootError(
                    f"{tensor.name} is in both {other.file.name} and {file.name} of {model}",
                    "remove the shards that do not belong to the model",
                )
            home[tensor.name] = tensor
    return GemmaShards(files, tuple(home.values()))


def _listed_files(model_folder: Path) -> tuple[Path, ...]:
    index = model_folder / INDEX_NAME
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise GemmaRootError(f"{index} cannot be read", "download it again") from error
        source = INDEX_NAME
    else:
        present = sorted(file.name for file in model_folder.glob(SHARD_PATTERN))
        names, source = _completed(present), "the numbering of the others"
    if missing := [name for name in names if not (model_folder / name).is_file()]:
        raise GemmaRootError(f"{model_folder} lacks {', '.join(missing)}, which {source} names", _AGAIN)
    return tuple(model_folder / name for name in names)


def _completed(present: list[str]) -> list[str]:
    """The names present and those that their numbering (`-00002-of-00005`) implies."""
    names = set(present)
    for name in present:
        if match := _NUMBERED.search(name):
            stem, count = name[: match.start()], match.group(2)
            names.update(f"{stem}-{number:05d}-of-{count}.safetensors" for number in range(1, int(count) + 1))
    return sorted(names)
