"""A unit: the tensors of a part of a model that go to the card together, in one copy."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from ltx_core.parked.card import plain_tensors
from ltx_core.parked.copies import Copy
from ltx_core.parked.host import HostMemory
from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.mapping import read_ahead
from ltx_core.parked.places import Place, places_of

_READERS = min(16, os.cpu_count() or 1)
"""Threads that copy from mapped files: one takes 3.4 GB/s from the page cache, 8 take 25, 16 take 33 (a Xeon)."""
_PIECE = 16 * 1024**2  # bytes that one takes at a time


class Unit:
    """Tensors that lie in one host buffer, and the places in a model where the card's copies of them are put.

    With a copy in memory that is its part of it. Where host memory has no room for a buffer of its own, they stay in
    the copy on a disk, or as they were built: most of them mapped from their file.
    In between each place holds a tensor of the same shape, dtype and device over a single element: models are asked
    for those.
    """

    def __init__(
        self,
        tensors: Sequence[Sequence[Place]],
        host: HostMemory,
        device: torch.device,
        stored: Copy | None = None,
    ) -> None:
        """Park `tensors`, each given as the places that hold it; they are copied, and leave their places.

        A copy that was found has their values, a new one takes them. Raises: CopyDiffersError.
        """
        self._places = tensors
        held = [places[0].read() for places in tensors]
        self.layout = Layout.of(Form.of(tensor) for tensor in held)
        self.following: Unit | None = None  # the one that is mostly needed next
        self._host = host
        self._held = self._parked(held, stored)
        buffer = self._held.buffer
        self.tensors = [tensor.detach() for tensor in held] if buffer is None else self.layout.views(buffer)
        self._empty = [
            torch.empty((1,) * len(form.shape), dtype=form.dtype, device=device).expand(form.shape)
            for form in self.layout.forms
        ]
        self.unbind()

    @property
    def nbytes(self) -> int:
        return self.layout.nbytes

    def copy_to(self, buffer: torch.Tensor) -> None:
        """Copy the tensors into a buffer of the card, in its current stream."""
        for unit in (self, self.following):
            if unit is not None and unit._held.in_file:
                unit._read_ahead()
        if self._held.buffer is not None:
            buffer[: self.nbytes].copy_(self._held.buffer, non_blocking=True)
            return
        for view, tensor in zip(self.layout.views(buffer), self.tensors, strict=True):
            view.copy_(tensor, non_blocking=True)

    def let_go(self) -> None:
        """Give back the host memory; the unit is used no more."""
        if self._held.buffer is not None:
            self._host.let_go(self._held.buffer, registered=self._held.registered, counted=self._held.counted)

    def bind(self, views: Sequence[torch.Tensor]) -> None:
        """Put the card's copies, as `layout.views` gives them, in their places."""
        with plain_tensors():
            for places, view in zip(self._places, views, strict=True):
                for place in places:
                    place.put(view)

    def unbind(self) -> None:
        """Leave nothing of the card's memory in the places."""
        self.bind(self._empty)

    def _parked(self, tensors: Sequence[torch.Tensor], stored: Copy | None) -> "_Held":
        number = None if stored is None else stored.unit(self.layout, lambda views: _copy(tensors, views))
        if number is not None and stored.in_memory:
            buffer, registered = self._host.shared(lambda writable: stored.mapped(number, writable=writable))
            counted = self.nbytes if stored.is_new else 0
            self._host.count(counted)
            return _Held(buffer, registered, counted)
        if self._host.has_room(self.nbytes):
            buffer = self._host.buffer(self.nbytes)
            if number is None:
                _copy(tensors, self.layout.views(buffer))
            else:
                _copy([stored.mapped(number)], [buffer])
            return _Held(buffer, self._host.register(buffer), self.nbytes)
        return _Held(None if number is None else stored.mapped(number), in_file=True)

    def _read_ahead(self) -> None:
        for tensor in self.tensors:
            read_ahead(tensor)


@dataclass(frozen=True)
class _Held:
    """Where a unit lies on the host: in a buffer, or as its tensors were built (None)."""

    buffer: torch.Tensor | None
    registered: bool = False  # with the card
    counted: int = 0  # bytes of the host's budget
    in_file: bool = False  # all or most of it


def _copy(tensors: Sequence[torch.Tensor], views: Sequence[torch.Tensor]) -> None:
    """Copy tensors, which may still lie in a file, by many threads."""
    pairs = [pair for tensor, view in zip(tensors, views, strict=True) for pair in _pieces(tensor, view)]
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(lambda pair: pair[1].copy_(pair[0]), pairs))


def _pieces(tensor: torch.Tensor, view: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    if not tensor.is_contiguous() or tensor.nbytes <= _PIECE:
        return [(tensor, view)]
    length = _PIECE // tensor.element_size()
    return zip(tensor.detach().view(-1).split(length), view.view(-1).split(length), strict=True)


class Parts:
    """The tensors of a model, to be divided among units; one in several places goes to the first that claims it."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._left: dict[tuple[object, ...], list[Place]] = {}
        for place in places_of(model):
            if (tensor := place.read()).numel():
                self._left.setdefault(_key(tensor), []).append(place)

    def claim(self, places: Iterable[Place]) -> list[list[Place]]:
        """Take what lies in `places` and is not taken yet: for each tensor all places in the model that hold it."""
        keys = dict.fromkeys(_key(place.read()) for place in places)
        return [self._left.pop(key) for key in keys if key in self._left]


def _key(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), Form.of(tensor)
