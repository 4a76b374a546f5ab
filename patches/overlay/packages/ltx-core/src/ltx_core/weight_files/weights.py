"""Weights as any file holds them: what each is called, its shape, how it is stored, and its values when asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol

import torch


class Layout(Enum):
    """How the values of one weight are stored; `value` is what a report calls it."""

    PLAIN = "plain"  # the values themselves, float8 without a scale among them
    FP8_SCALED = "fp8 with scales"  # float8 codes and one scale, or one a row
    INT8_ROWWISE = "int8"  # ComfyUI's int8_tensorwise: int8 codes and one scale, or one a row
    INT8_CONVROT = "int8 with rotation"  # the same of a weight that was rotated by group (ConvRot)
    MXFP8 = "mxfp8"  # float8 codes and a power of two for each 32
    NVFP4 = "nvfp4"  # 4-bit floats, a float8 scale for each 16, and one scale for all
    GGUF = "GGUF"  # a GGML type of blocks, which `Weight.stored` names; its F32, F16 and BF16 are plain


INT8_LAYOUTS = frozenset({Layout.INT8_ROWWISE, Layout.INT8_CONVROT})


class Int8Codes(NamedTuple):
    """An int8 weight as it is stored: row r is `codes[r] * scales[r]`, rotated by group where a size is given."""

    codes: torch.Tensor  # int8 (N, K)
    scales: torch.Tensor  # float32 (N,)
    group_size: int | None  # of the rotation along K; None: not rotated


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight of a file. Nothing of its data is read before it is asked for."""

    name: str  # as in the file, without what belongs to the layout
    shape: tuple[int, ...]  # of the values
    layout: Layout
    stored: str  # safetensors' dtype ("BF16", "F8_E4M3") or the GGML type ("Q4_K")
    values: Callable[[], torch.Tensor] = field(repr=False)
    int8_codes: Callable[[], Int8Codes] | None = field(default=None, repr=False)
    group_size: int | None = None  # of the rotation of an int8 weight

    def read(self) -> torch.Tensor:
        """Return the values, of `shape`: plain ones in their own dtype, others as float32, rounded once.

        Not to be written to: a plain tensor may be the file itself, mapped.

        Raises: UnreadableFile.
        """
        return self.values()

    def codes(self) -> Int8Codes:
        """Return what an int8 layout stores, so that it is passed on without loss. Raises: UnreadableFile."""
        assert self.int8_codes is not None, f"{self.name} is stored as {self.layout.value}"
        return self.int8_codes()


class Weights(Protocol):
    """The weights of a file or a folder, open until the context ends; iterating reads headers alone."""

    @property
    def metadata(self) -> Mapping[str, str]: ...

    def __iter__(self) -> Iterator[Weight]: ...

    def __enter__(self) -> "Weights": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
