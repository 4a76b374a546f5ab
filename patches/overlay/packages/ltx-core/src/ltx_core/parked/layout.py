"""Where the tensors of a unit lie in its one buffer, so that a single copy moves them all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

ALIGNMENT = 256
"""Bytes. What torch's caching allocator gives to a tensor of its own, and so what kernels see without a store."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a tensor is but for its values: elements are counted in its own dtype."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "Form":
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    @classmethod
    def of_stated(cls, stated: Sequence[object]) -> "Form":
        """Read what `stated` gave. Raises: ValueError, AttributeError."""
        shape, strides, dtype = stated
        return cls(tuple(shape), tuple(strides), getattr(torch, dtype))

    def stated(self) -> list[object]:
        """Return it as JSON takes it."""
        return [self.shape, self.strides, str(self.dtype).removeprefix("torch.")]

    @property
    def nbytes(self) -> int:
        """From its first element to the end of its last, whatever the order of its dimensions."""
        if 0 in self.shape:
            return 0
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Layout:
    """Forms and where each begins, in bytes; two units of one layout can take turns in a buffer."""

    forms: tuple[Form, ...]
    offsets: tuple[int, ...]
    nbytes: int

    @classmethod
    def of(cls, forms: Iterable[Form]) -> "Layout":
        forms = tuple(forms)
        offsets, end = [], 0
        for form in forms:
            offsets.append(end)
            end += -(-form.nbytes // ALIGNMENT) * ALIGNMENT
        return cls(forms, tuple(offsets), end)

    def views(self, buffer: torch.Tensor) -> list[torch.Tensor]:
        """The tensors in a buffer (uint8, 1-D, at least `nbytes` long), sharing its memory."""
        return [
            buffer[offset : offset + form.nbytes].view(form.dtype).as_strided(form.shape, form.strides)
            for form, offset in zip(self.forms, self.offsets, strict=True)
        ]
