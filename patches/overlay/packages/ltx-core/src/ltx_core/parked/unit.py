"""A unit: the tensors of a part of a model that go to the card together, in one copy."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from ltx_core.parked.card import plain_tensors
from ltx_core.parked.host import HostMemory
from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.places import Place, places_of

_READERS = min(16, os.cpu_count() or 1)
"""Threads that copy from mapped files: one takes 3.4 GB/s from the page cache, 8 take 25, 16 take 33 (a Xeon)."""
_PIECE = 16 * 1024**2  # bytes that one takes at a time


class Unit:
    """Tensors that lie in one host buffer, and the places in a model where the card's copies of them are put.

    Where host memory has no room for the buffer, they stay as they were built: most of them mapped from their file.
    In between each place holds a tensor of the same shape, dtype and device over a single element: models are asked
    for those.
    """

    def __init__(self, tensors: Sequence[Sequence[Place]], host: HostMemory, device: torch.device) -> None:
        """Park `tensors`, each given as the places that hold it; they are copied, and leave their places."""
        self._places = tensors
        held = [places[0].read() for places in tensors]
        self.layout = Layout.of(Form.of(tensor) for tensor in held)
        self._host, self._registered = host, False
        if host.has_room(self.layout.nbytes):
            self._buffer = host.buffer(self.layout.nbytes)
            self.tensors = self.layout.views(self._buffer)
            _copy(held, self.tensors)
            self._registered = host.register(self._buffer)
        else:
            self._buffer, self.tensors = None, [tensor.detach() for tensor in held]
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
        if self._buffer is not None:
            buffer[: self.nbytes].copy_(self._buffer, non_blocking=True)
            return
        for view, tensor in zip(self.layout.views(buffer), self.tensors, strict=True):
            view.copy_(tensor, non_blocking=True)

    def let_go(self) -> None:
        """Give back the host memory; the unit is used no more."""
        if self._buffer is not None:
            self._host.let_go(self._buffer, registered=self._registered)

    def bind(self, views: Sequence[torch.Tensor]) -> None:
        """Put the card's copies, as `layout.views` gives them, in their places."""
        with plain_tensors():
            for places, view in zip(self._places, views, strict=True):
                for place in places:
                    place.put(view)

    def unbind(self) -> None:
        """Leave nothing of the card's memory in the places."""
        self.bind(self._empty)


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
