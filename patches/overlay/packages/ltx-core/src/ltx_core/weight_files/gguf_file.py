"""The weights of GGUF files, which ComfyUI-GGUF and llama.cpp write, by the library `gguf`.

The library gives each tensor with its lengths the innermost first, and dequantizes to float32. ComfyUI-GGUF's converter
stores what GGUF can't (more than four dimensions, rows that do not fill their blocks) in another shape and names the
one it had in the setting `comfy.gguf.orig_shape.<tensor>` (its tools/convert.py); what a safetensors header said, such
as LTX-2's `config`, stands in settings of the same names.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.weights import Layout, Weight

if TYPE_CHECKING:
    import gguf

_MAGIC = b"GGUF"
_REQUIREMENT = "gguf>=0.17"
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
_AGAIN = "download the file again"


def is_gguf(file: Path) -> bool:
    """Whether the file begins as one of GGUF. Raises: UnreadableFile."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise UnreadableFile(
            f"{file} cannot be read ({error.strerror})", "check the file and its permissions"
        ) from error


class GgufWeights:
    """The weights of one file, or of the files that one model was split into, under the names they have there."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the headers. Raises: UnreadableFile."""
        library = _library()
        self._settings: dict[str, gguf.ReaderField] = {}
        self._tensors: dict[str, tuple[Path, gguf.ReaderTensor]] = {}
        for file in files:
            try:
                reader = library.GGUFReader(file)
            except Exception as error:  # the library ends at torn files with whatever its arrays do
                raise UnreadableFile(f"{file} is no complete GGUF file ({error})", _AGAIN) from error
            self._settings = {**reader.fields, **self._settings}
            for tensor in reader.tensors:
                other, _ = self._tensors.setdefault(tensor.name, (file, tensor))
                if other != file:
                    raise UnreadableFile(f"{tensor.name} is in both {other} and {file}", "give the files of one model")
        self._require_known(library)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The settings that are texts or numbers, as texts."""
        single = {name: field for name, field in self._settings.items() if field.types[0].name != "ARRAY"}
        return {name: str(field.contents()) for name, field in single.items()}

    def __iter__(self) -> Iterator[Weight]:
        for name, (_, tensor) in self._tensors.items():
            kind = tensor.tensor_type.name
            layout = Layout.PLAIN if kind in _PLAIN else Layout.GGUF
            yield Weight(name, self._shape(name, tensor), layout, kind, lambda name=name: self._values(name))

    def __enter__(self) -> "GgufWeights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tensors = {}  # which let go of the mapped files

    def _shape(self, name: str, tensor: "gguf.ReaderTensor") -> tuple[int, ...]:
        stated = self._settings.get(_SHAPE + name)
        lengths = reversed(tensor.shape.tolist()) if stated is None else stated.contents()
        return tuple(map(int, lengths))

    def _values(self, name: str) -> torch.Tensor:
        """Plain values in their dtype, others as float32: a copy, made a few rows at a time."""
        file, tensor = self._tensors[name]
        kind = tensor.tensor_type.name
        shape = self._shape(name, tensor)
        try:
            if kind in _PLAIN:
                return torch.from_numpy(tensor.data.copy()).view(_PLAIN[kind]).reshape(shape)
            return torch.from_numpy(_library().dequantize(tensor.data, tensor.tensor_type)).reshape(shape)
        except (OSError, ValueError, RuntimeError) as error:
            raise UnreadableFile(f"{name} of {file} cannot be read ({error})", _AGAIN) from error

    def _require_known(self, library: Any) -> None:  # noqa: ANN401 - a module that may be missing
        """Every type is one that the library dequantizes. Raises: UnreadableFile."""
        examples = {tensor.tensor_type: (file, tensor) for file, tensor in self._tensors.values()}
        for kind, (file, tensor) in examples.items():
            if kind.name in _PLAIN:
                continue
            try:
                library.dequantize(tensor.data.reshape(-1)[: library.GGML_QUANT_SIZES[kind][1]], kind)
            except NotImplementedError:
                raise UnreadableFile(
                    f"{file} stores {tensor.name} as {kind.name}, which the library gguf does not dequantize",
                    "take a file of a usual type, such as Q8_0, Q6_K or Q4_K_M",
                ) from None


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
