"""The weights of GGUF files, which ComfyUI-GGUF and llama.cpp write, dequantized by the library `gguf`.

ComfyUI-GGUF's converter stores what GGUF can't (more than four dimensions, rows that do not fill their blocks) in
another shape and names the one it had in the setting `comfy.gguf.orig_shape.<tensor>` (its tools/convert.py); what a
safetensors header said, such as LTX-2's `config`, stands in settings of the same names.
"""

import mmap
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.gguf_header import MAGIC, Setting, TensorPlace, parse_gguf
from ltx_core.weight_files.weights import Layout, Weight

_REQUIREMENT = "gguf>=0.17"
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_SHAPE = "comfy.gguf.orig_shape."
_PLAIN = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
}
_ROWS = 1024  # that are dequantized at a time: the library's arrays are several times as large as the values
_AGAIN = "download the file again"
_USUAL = "take a file of a usual type, such as Q8_0, Q6_K or Q4_K_M"


@dataclass(frozen=True)
class _Stored:
    """One tensor of a file, as it lies there."""

    kind: str  # the GGML type's name
    shape: tuple[int, ...]  # that it is stored in, the outermost length first
    file: Path
    data: memoryview


def is_gguf(file: Path) -> bool:
    """Whether the file begins as one of GGUF. Raises: UnreadableFile."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UnreadableFile(
            f"{file} cannot be read ({error.strerror})", "check the file and its permissions"
        ) from error


def files_of(file: Path) -> list[Path]:
    """The files of the model that one file belongs to, named as llama.cpp splits one. Raises: UnreadableFile."""
    if (match := _SPLIT.search(file.name)) is None:
        return [file]
    stem, count = file.name[: match.start()], match.group(1)
    files = [file.with_name(f"{stem}-{number:05d}-of-{count}.gguf") for number in range(1, int(count) + 1)]
    if missing := [other.name for other in files if not other.is_file()]:
        raise UnreadableFile(f"{file} is one of {int(count)} files, and {', '.join(missing)} is not beside it", _AGAIN)
    return files


class GgufWeights:
    """The weights of one file, or of the files that one model was split into, under the names they have there."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the headers; the files are mapped until the context ends. Raises: UnreadableFile."""
        self._library = _library()
        self._settings: dict[str, Setting] = {}
        self._tensors: dict[str, _Stored] = {}
        for file in files:
            try:
                data = _mapped(file)
                header = parse_gguf(data)
            except (OSError, ValueError) as error:  # an empty file can't be mapped
                raise UnreadableFile(f"{file} is no complete GGUF file: {error}", _AGAIN) from error
            self._settings = {**header.settings, **self._settings}
            for place in header.tensors:
                self._add(place, file, data)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The settings that are texts or numbers, as texts."""
        return {name: str(value) for name, value in self._settings.items() if not isinstance(value, tuple)}

    def __iter__(self) -> Iterator[Weight]:
        for name, tensor in self._tensors.items():
            layout = Layout.PLAIN if tensor.kind in _PLAIN else Layout.GGUF
            yield Weight(name, self._shape(name), layout, tensor.kind, lambda name=name: self._values(name))

    def __enter__(self) -> "GgufWeights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tensors.clear()  # with the last view of a file its mapping goes

    def _add(self, place: TensorPlace, file: Path, data: memoryview) -> None:
        if (other := self._tensors.get(place.name)) is not None:
            raise UnreadableFile(f"{place.name} is in both {other.file} and {file}", "give the files of one model")
        kind = _type_of(self._library, place, file)
        values, size = self._library.GGML_QUANT_SIZES[kind]
        end = place.start + prod(place.shape) // values * size
        if end > len(data):
            raise UnreadableFile(f"{file} is no complete GGUF file: {place.name} ends at byte {end}", _AGAIN)
        if place.shape and place.shape[-1] % values:
            raise UnreadableFile(f"{place.name} of {file} does not fill its blocks", _AGAIN)
        self._tensors[place.name] = _Stored(kind.name, place.shape, file, data[place.start : end])

    def _shape(self, name: str) -> tuple[int, ...]:
        """That of the values. Raises: UnreadableFile."""
        stored = self._tensors[name]
        stated = self._settings.get(_SHAPE + name)
        if stated is None:
            return stored.shape
        if not isinstance(stated, tuple) or prod(stated) != prod(stored.shape):
            raise UnreadableFile(f"{stored.file} gives {name} a shape that it can't have", _AGAIN)
        return tuple(map(int, stated))

    def _values(self, name: str) -> torch.Tensor:
        """Plain values in their dtype, others as float32: a copy, made a few rows at a time."""
        import numpy as np  # noqa: PLC0415 - comes with the library

        stored, shape = self._tensors[name], self._shape(name)
        data = np.frombuffer(stored.data, np.uint8)
        if stored.kind in _PLAIN:
            return torch.from_numpy(data.copy()).view(_PLAIN[stored.kind]).reshape(shape)
        by_row = data.reshape(prod(stored.shape[:-1]), -1)
        kind = self._library.GGMLQuantizationType[stored.kind]
        values = np.empty((len(by_row), stored.shape[-1]), np.float32)
        for start in range(0, len(by_row), _ROWS):
            values[start : start + _ROWS] = self._library.dequantize(by_row[start : start + _ROWS], kind)
        return torch.from_numpy(values).reshape(shape)


def _mapped(file: Path) -> memoryview:
    with file.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _type_of(library: Any, place: TensorPlace, file: Path) -> Any:  # noqa: ANN401 - of a module that may be missing
    """The library's own value of a tensor's type, which it dequantizes. Raises: UnreadableFile."""
    import numpy as np  # noqa: PLC0415 - comes with the library

    try:
        kind = library.GGMLQuantizationType(place.kind)
    except ValueError:
        raise UnreadableFile(
            f"{file} stores {place.name} in a GGML type that the library gguf does not know ({place.kind})", _USUAL
        ) from None
    if kind.name not in _PLAIN:
        try:
            library.dequantize(np.zeros((1, library.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
        except NotImplementedError:
            raise UnreadableFile(
                f"{file} stores {place.name} as {kind.name}, which the library gguf does not dequantize", _USUAL
            ) from None
    return kind


def _library() -> Any:  # noqa: ANN401 - a module that may be missing
    """The library. Raises: UnreadableFile where it is not installed."""
    try:
        import gguf  # noqa: PLC0415 - what reads no GGUF file needs no gguf
    except ImportError as error:
        raise UnreadableFile(
            "the library gguf, which reads GGUF files, is not installed",
            f"run: {sys.executable} -m pip install '{_REQUIREMENT}'",
        ) from error
    return gguf
