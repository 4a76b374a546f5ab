"""What a built model depends on, as a value that can be compared: two builds of one identity have equal weights.

Names are not enough: upstream calls an operation "compile_transformer" for any settings, and the seed of stochastic
rounding stands in a closure alone.
"""

import functools
import hashlib
import importlib.metadata
import os
import struct
import types
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path

import torch

_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device, Path)
_OURS = ("ltx_core.", "ltx_pipelines.")  # whose objects are what stands in their attributes
_DECIDING = ("bitsandbytes", "safetensors", "torch", "transformers", "triton")  # whose versions may change weights
_MOST_HEADER = 64 * 1024**2  # bytes
_SAMPLES, _SAMPLE = 64, 4096  # blocks of a file and their bytes


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


def sampled(file: FileIdentity) -> str:
    """Return a digest of a file's header (safetensors) and of blocks spread over it. Raises: OSError."""
    path, size, *_ = file
    hashed = hashlib.sha256()
    with open(path, "rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8).ljust(8, b"\0"))
        hashed.update(opened.read(min(length, _MOST_HEADER)))
        for number in range(_SAMPLES):
            hashed.update(os.pread(opened.fileno(), _SAMPLE, size * number // _SAMPLES))
        hashed.update(os.pread(opened.fileno(), _SAMPLE, max(size - _SAMPLE, 0)))
    return hashed.hexdigest()


@functools.cache
def of_program(device: torch.device) -> Hashable:
    """Return what weights depend on beside their files and a builder: our code, the packages, the device."""
    root = Path(__file__).parents[1]
    sources = [(str(path.relative_to(root)), path.read_bytes()) for path in sorted(root.rglob("*.py"))]
    versions = [(name, _version(name)) for name in _DECIDING]
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return digest(tuple(sources)), tuple(versions), card


def digest(value: Hashable) -> str:
    """Return a name for what `identity` gave, the same in every process: 64 digits."""
    hashed = hashlib.sha256()
    for part in _spelled(value):
        hashed.update(part.encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _spelled(value: Hashable) -> Iterator[str]:
    if isinstance(value, frozenset):  # its order is another in each process
        yield f"set {sorted(map(digest, value))}"
    elif isinstance(value, tuple):
        yield f"tuple of {len(value)} "
        for part in value:
            yield from _spelled(part)
    else:
        yield f"{type(value).__qualname__} {value!r} "


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


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
            _code(function.__code__),
            self._each(cells),
            self.read(defaults),
        )

    def _each(self, values: Iterable[object]) -> tuple[Hashable, ...]:
        return tuple(self.read(value) for value in values)

    def _mapping(self, values: Mapping[object, object]) -> tuple[Hashable, ...]:
        return tuple((self.read(key), self.read(part)) for key, part in values.items())


def _code(value: object) -> Hashable:
    """Return what a function's code does, whichever process compiled it, and the constants in it."""
    if isinstance(value, types.CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars)
        arguments = (value.co_argcount, value.co_kwonlyargcount, value.co_flags)
        return value.co_code, names, arguments, tuple(map(_code, value.co_consts))
    if isinstance(value, tuple | frozenset):
        return type(value).__name__, type(value)(map(_code, value))
    return type(value).__name__, value


def _bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
