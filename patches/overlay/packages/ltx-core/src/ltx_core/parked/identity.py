"""What a built model depends on, as a value that can be compared: two builds of one identity have equal weights.

Names are not enough: upstream calls an operation "compile_transformer" for any settings, and the seed of stochastic
rounding stands in a closure alone.
"""

import functools
import hashlib
import types
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path

import torch

_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device, Path)
_OURS = ("ltx_core.", "ltx_pipelines.")  # whose objects are what stands in their attributes


class NotKnownError(Exception):
    """Something of which it can't be told what it does."""


def identity(value: object) -> Hashable:
    """Return what `value` is made of, through closures, dataclasses and bound arguments.

    Raises: NotKnownError for an object whose parts can't be seen.
    """
    return _Reader().read(value)


FileIdentity = tuple[str, int, int, int]
"""A path without links, size, time of the last write and inode."""


def of_file(path: str | Path) -> FileIdentity:
    """Return what tells a file from what it was before and from any other. Raises: OSError."""
    resolved = Path(path).resolve()
    stat = resolved.stat()
    return str(resolved), stat.st_size, stat.st_mtime_ns, stat.st_ino


def is_current(file: FileIdentity) -> bool:
    """Whether the file is there, and what it was."""
    try:
        return of_file(file[0]) == file
    except OSError:
        return False


class _Reader:
    """One reading: what holds itself is read once."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    def read(self, value: object) -> Hashable:
        if isinstance(value, _PLAIN):
            return type(value).__name__, value
        if isinstance(value, bytes):
            return "bytes", hashlib.sha256(value).digest()  # a tokenizer has 30 MB
        if isinstance(value, Enum):
            return type(value).__qualname__, value.name
        if id(value) in self._open:
            return "again", self._open[id(value)]
        self._open[id(value)] = len(self._open)
        try:
            return self._parts(value)
        finally:
            del self._open[id(value)]

    def _parts(self, value: object) -> Hashable:  # noqa: PLR0911, one kind a line
        if isinstance(value, type):
            bound = {name: part for name, part in vars(value).items() if isinstance(part, _PLAIN)}
            return value.__module__, value.__qualname__, self._mapping(bound), self._each(value.__bases__)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return self.read(value.__func__), self.read(value.__self__)
        if isinstance(value, types.BuiltinFunctionType):
            return value.__module__, value.__qualname__
        if isinstance(value, functools.partial):
            return self.read(value.func), self._each(value.args), self._mapping(value.keywords)
        if isinstance(value, torch.Tensor):
            return value.dtype, tuple(value.shape), self.read(_bytes_of(value))
        if isinstance(value, Mapping):
            return type(value).__qualname__, self._mapping(value)
        if isinstance(value, set | frozenset):
            return type(value).__qualname__, frozenset(self.read(part) for part in value)
        if isinstance(value, list | tuple):
            return type(value).__qualname__, self._each(value)
        if is_dataclass(value):
            parts = {field.name: getattr(value, field.name) for field in fields(value)}
            return type(value).__module__, type(value).__qualname__, self._mapping(parts)
        if type(value).__module__.startswith(_OURS) and not isinstance(value, torch.nn.Module):
            return type(value).__module__, type(value).__qualname__, self._mapping(vars(value))
        raise NotKnownError(type(value).__qualname__)

    def _function(self, function: types.FunctionType) -> Hashable:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        defaults = (function.__defaults__, function.__kwdefaults__)
        return (
            function.__module__,
            function.__qualname__,
            hash(function.__code__),
            self._each(cells),
            self.read(defaults),
        )

    def _each(self, values: Iterable[object]) -> tuple[Hashable, ...]:
        return tuple(self.read(value) for value in values)

    def _mapping(self, values: Mapping[object, object]) -> tuple[Hashable, ...]:
        return tuple((self.read(key), self.read(part)) for key, part in values.items())


def _bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
