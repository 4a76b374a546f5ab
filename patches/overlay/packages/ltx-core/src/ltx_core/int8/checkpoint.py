"""A transformer's checkpoint, read for integer products: which of its layers are, or become, 8-bit integers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from ltx_core.int8.layers import Stored, is_of_a_block, plain_name, quantized_layers
from ltx_core.int8.rows import Rows
from ltx_core.int8.weights import entries_of, quantized
from ltx_core.loader.sd_ops import KeyValueOperationResult
from ltx_core.weight_files import INT8_LAYOUTS, Layout, UnreadableFile, Weight
from ltx_core.weight_files.safetensors_weights import SafetensorsWeights

_PREFIX = "model.diffusion_model."  # of a transformer's weights in upstream's checkpoints
_WEIGHT = ".weight"


@dataclass(frozen=True)
class Checkpoint:
    """A file, and its layers that compute with integers."""

    path: str
    layers: Mapping[str, Stored]

    @classmethod
    def of(cls, path: str | Path, *, rotated: bool = True, keeps_ends: bool = False) -> "Checkpoint":
        """Return what becomes of the file at `path`. One that holds integers says itself which layers and rotations.

        Raises: UnreadableFile; also where such a file is to be rotated otherwise, or where it holds no transformer.
        """
        path = str(Path(path).resolve())
        weights = weights_of(path)
        stated = _stated(weights.values())
        if not stated:
            shapes = {
                name.removesuffix(_WEIGHT): weight.shape for name, weight in weights.items() if _is_matrix(weight)
            }
            layers = quantized_layers(shapes, rotated=rotated, keeps_ends=keeps_ends)
            if not any(map(is_of_a_block, shapes)):
                raise UnreadableFile(
                    f"{path} holds no block of a transformer as upstream names it",
                    "see `ltx2-patcher inspect`, or make a checkpoint of it with `ltx2-patcher run convert`",
                )
            return cls(path, layers)
        if keeps_ends or not rotated:
            raise UnreadableFile(
                f"{path} holds 8-bit integers as somebody rotated and chose them",
                "leave --int8-unrotated and --int8-keep-ends out, or give the bf16 checkpoint",
            )
        return cls(path, stated)

    def entries(self, key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        """Return what a state dict holds of a tensor of the file: `value`, by its `key` in the model.

        Of scales and the like that is nothing: they are in what comes of their weight.
        """
        weight = weights_of(self.path).get(plain_name(key))
        if weight is None:
            return []
        stored = self.layers.get(plain_name(key).removesuffix(_WEIGHT))
        if stored is None or not key.endswith(_WEIGHT):
            return [KeyValueOperationResult(key, _values(weight, value, torch.bfloat16))]
        if weight.layout in INT8_LAYOUTS:
            rows = Rows(value, weight.codes().scales.to(value.device))
        else:
            rows = quantized(_values(weight, value, torch.float32), stored.group)
        return [
            KeyValueOperationResult(name, entry)
            for name, entry in entries_of(key.removesuffix(_WEIGHT), rows, stored.group).items()
        ]


def weights_of(path: str) -> Mapping[str, Weight]:
    """Return the transformer's weights in a file, by their names in the model. Raises: UnreadableFile."""
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise UnreadableFile(f"{path} can't be read: {error.strerror}", "give the path of a checkpoint") from error
    return _weights(path, stat.st_size, stat.st_mtime_ns)


@cache
def _weights(path: str, size: int, written_ns: int) -> Mapping[str, Weight]:  # noqa: ARG001 - they tell files apart
    weights = SafetensorsWeights([Path(path)])  # open as long as the process: it is read again for each request
    return {weight.name.removeprefix(_PREFIX): weight for weight in weights if weight.name.startswith(_PREFIX)}


def _stated(weights: Iterable[Weight]) -> dict[str, Stored]:
    return {
        weight.name.removeprefix(_PREFIX).removesuffix(_WEIGHT): Stored(weight.codes().group_size)
        for weight in weights
        if weight.layout in INT8_LAYOUTS
    }


def _is_matrix(weight: Weight) -> bool:
    return weight.name.endswith(_WEIGHT) and len(weight.shape) == 2


def _values(weight: Weight, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the values of a weight: those that were loaded, where they are stored as they are."""
    if weight.layout is Layout.PLAIN:
        return value
    if value.is_meta:  # asked only for what comes of it
        return value.new_empty(weight.shape, dtype=dtype)
    return weight.read().to(device=value.device, dtype=dtype)
