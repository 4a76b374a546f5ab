"""A unit: the tensors of a part of a model that go to the card together, in one copy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from ltx_core.parked.card import plain_tensors
from ltx_core.parked.copies import Copy
from ltx_core.parked.host import HostMemory
from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.mapping import FileRanges, read_ahead
from ltx_core.parked.places import Place, places_of
from ltx_core.parked.reading import Reading


@dataclass(frozen=True)
class Home:
    """Where the units of one model find their values, and memory."""

    host: HostMemory
    files: FileRanges  # in which most tensors of the model lie when it is built
    stored: Copy | None = None


class Unit:
    """Tensors that lie in one host buffer, and the places in a model where the card's copies of them are put.

    With a copy in memory that is its part of it. Where host memory has no room for a buffer of its own, they stay in
    the copy on a disk, or as they were built: most of them mapped from their file.
    In between each place holds a tensor of the same shape, dtype and device over a single element: models are asked
    for those.
    """

    def __init__(self, tensors: Sequence[Sequence[Place]], device: torch.device, home: Home) -> None:
        """Park `tensors`, each given as the places that hold it; they leave their places, and are copied meanwhile.

        A copy that was found has their values, a new one takes them. Raises: CopyDiffersError.
        """
        self._places, self._home = tensors, home
        held = [places[0].read() for places in tensors]
        self.layout = Layout.of(Form.of(tensor) for tensor in held)
        self.following: Unit | None = None  # the one that is mostly needed next
        self._held = self._parked(held)
        buffer = self._held.buffer
        self._tensors = [tensor.detach() for tensor in held] if buffer is None else self.layout.views(buffer)
        self._empty = [
            torch.empty((1,) * len(form.shape), dtype=form.dtype, device=device).expand(form.shape)
            for form in self.layout.forms
        ]
        self.unbind()

    @property
    def nbytes(self) -> int:
        return self.layout.nbytes

    @property
    def tensors(self) -> list[torch.Tensor]:
        """On the host. Raises: OSError for a file that could not be read."""
        self._held.reading.finish()
        return self._tensors

    @property
    def lies_in_file(self) -> bool:
        """Whether a copy of it reads from a disk."""
        return self._held.in_file

    @property
    def failed(self) -> bool:
        """Whether its values could not be read."""
        return self._held.reading.failed

    def copy_to(self, buffer: torch.Tensor) -> None:
        """Copy the tensors into a buffer of the card, in its current stream. Raises: OSError."""
        self._held.reading.finish()
        for unit in (self, self.following):
            if unit is not None and unit._held.in_file:
                unit._read_ahead()
        if self._held.buffer is not None:
            buffer[: self.nbytes].copy_(self._held.buffer, non_blocking=True)
            return
        for view, tensor in zip(self.layout.views(buffer), self._tensors, strict=True):
            view.copy_(tensor, non_blocking=True)

    def let_go(self) -> None:
        """Give back the host memory; the unit is used no more."""
        held = self._held
        if held.buffer is not None:
            registered = not held.reading.failed and held.reading.finish()
            self._home.host.let_go(held.buffer, registered=registered, counted=held.counted)

    def bind(self, views: Sequence[torch.Tensor]) -> None:
        """Put the card's copies, as `layout.views` gives them, in their places."""
        with plain_tensors():
            for places, view in zip(self._places, views, strict=True):
                for place in places:
                    place.put(view)

    def unbind(self) -> None:
        """Leave nothing of the card's memory in the places."""
        self.bind(self._empty)

    def _parked(self, tensors: Sequence[torch.Tensor]) -> "_Held":
        host, files, stored = self._home.host, self._home.files, self._home.stored
        number = None if stored is None else stored.unit(self.layout, lambda to: Reading(tensors, to, files).finish())
        if number is not None and stored.in_memory:
            buffer, registered = host.shared(lambda writable: stored.mapped(number, writable=writable))
            counted = self.nbytes if stored.is_new else 0
            host.count(counted)
            return _Held(buffer, Reading.over(registered), counted)
        if host.has_room(self.nbytes):
            buffer = host.buffer(self.nbytes)
            to = self.layout.views(buffer)
            if number is not None:
                tensors, to, files = [stored.mapped(number)], [buffer], FileRanges()
            return _Held(buffer, Reading(tensors, to, files, lambda: host.register(buffer)), self.nbytes)
        return _Held(None if number is None else stored.mapped(number), Reading.over(False), in_file=True)

    def _read_ahead(self) -> None:
        for tensor in self._tensors:
            read_ahead(tensor)


@dataclass(frozen=True)
class _Held:
    """Where a unit lies on the host: in a buffer, or as its tensors were built (None)."""

    buffer: torch.Tensor | None
    reading: Reading  # it ends with whether the card has registered the buffer
    counted: int = 0  # bytes of the host's budget
    in_file: bool = False  # all or most of it


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
