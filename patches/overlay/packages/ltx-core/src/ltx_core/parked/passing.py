"""The blocks of one model in a row: each lies on the card while it computes, and the next are copied meanwhile."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch

from ltx_core.parked import observer
from ltx_core.parked.card import Card, Event
from ltx_core.parked.layout import Layout
from ltx_core.parked.plan import kept_blocks
from ltx_core.parked.turns import Turns
from ltx_core.parked.unit import Unit

SEATS = 3
"""Blocks that pass take turns in as many buffers: one computes, one is copied, one has just computed."""


class Seat:
    """A buffer of the card, the block in it, and the moments that its next user waits for."""

    def __init__(self, card: Card, nbytes: int) -> None:
        self.buffer = card.buffer(nbytes)
        self.free = card.reached()  # its memory may have been another tensor's until now
        self.ready: Event = None
        self._views: dict[Layout, list[torch.Tensor]] = {}

    def views(self, layout: Layout) -> list[torch.Tensor]:
        """Return the tensors of a layout in it; blocks mostly have one layout, and making a view costs time."""
        if layout not in self._views:
            self._views[layout] = layout.views(self.buffer)
        return self._views[layout]


class PassingBlocks:
    """Calls of the blocks go through `before` and `after`, in their order, pass after pass.

    The first pass keeps no block, so that what it leaves of the budget is what activations of its shapes do not need.
    From the second on as many are kept on the card as that holds, and from the first on where inputs of their size came
    before. A pass over larger inputs begins anew.
    Where the order of models says that a pass is the last, no block is copied for another: the link is the next
    model's.
    """

    def __init__(self, card: Card, units: Sequence[Unit], turns: Turns) -> None:
        self._card, self._units, self._turns = card, units, turns
        self._sizes = [unit.nbytes for unit in units]
        self._ring: list[Seat] = []
        self._seats: dict[int, Seat] = {}  # of the blocks that are on the card or on their way
        self._bound: dict[int, Seat] = {}  # where the places of a block point, whoever sits there now
        self._taken: dict[int, int] = {}  # bytes of the card that a pass took beside blocks that stay, by its elements
        self._begin_anew()

    def before(self, index: int, inputs: object) -> None:
        """Block `index` is about to compute on `inputs`."""
        observer.point()
        if index == 0:
            self._begin_pass(inputs)
        if index not in self._seats:
            self._fetch(index)
        seat, unit = self._seats[index], self._units[index]
        self._card.wait(seat.ready)
        if self._bound.get(index) is not seat:  # a thousand tensors a pass take longer than a fast card computes
            unit.bind(seat.views(unit.layout))
            self._bound[index] = seat
        self._fetch_ahead(index)

    def after(self, index: int) -> None:
        """Block `index` has queued its arithmetic."""
        passes = index not in self._kept and len(self._units) - len(self._kept) > len(self._ring)
        if passes or (index in self._kept and self._seats[index] in self._ring):
            self._leave(index)
            self._fetch_ahead(index)
        if self._is_last and all(ahead in self._seats for ahead in range(index + 1, len(self._units))):
            self._turns.send_ahead()

    @property
    def keeps(self) -> bool:
        """Whether blocks stay on the card."""
        return bool(self._kept)

    def give_up(self) -> None:
        """Keep no block for the inputs of this pass; the next begins with the first block."""
        self._let_go()
        self._keeps_none = True
        self._taken.pop(self._elements, None)

    def release(self) -> None:
        """Leave the card."""
        self._let_go()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._kept: frozenset[int] = frozenset()
        self._free: list[Seat] = []
        self._passes = self._elements = 0
        self._keeps_none = self._is_last = False

    def _begin_pass(self, inputs: object) -> None:
        if (elements := _elements_of(inputs)) > self._elements:
            self.release()
            self._elements = elements
        if self._turns.let_go():
            self._card.trim()
            if self._passes == 1:  # what it left of the budget is not to be told any more
                self._passes = 0
        self._is_last = self._turns.begin_pass()
        if not self._ring:
            largest = max(self._sizes)
            self._ring = [Seat(self._card, largest) for _ in range(min(SEATS, len(self._units)))]
            self._free = list(self._ring)
        self._passes += 1
        if self._keeps_none or self._passes > 2:
            return
        if self._passes == 2:
            self._taken.setdefault(self._elements, self._card.taken())
        if self._elements in self._taken:
            room = self._card.room(self._taken[self._elements])
            self._kept = kept_blocks(self._sizes, sum(self._sizes) if room is None else room)

    def _fetch_ahead(self, index: int) -> None:
        count = len(self._units)
        for step in range(1, count - index if self._is_last else count):
            ahead = (index + step) % count
            if ahead in self._seats:
                continue
            if ahead in self._kept:
                if step > SEATS:
                    continue
            elif not self._free:
                break
            self._fetch(ahead)

    def _leave(self, index: int) -> None:
        seat = self._seats.pop(index)
        seat.free = self._card.reached()
        self._free.append(seat)

    def _fetch(self, index: int) -> None:
        unit = self._units[index]
        if index not in self._kept and not self._free:  # a pass was broken off, and blocks wait that it had ahead
            waiting = [other for other, seat in self._seats.items() if seat in self._ring]
            self._leave(max(waiting, key=lambda other: (other - index) % len(self._units)))
        seat = Seat(self._card, unit.nbytes) if index in self._kept else self._free.pop(0)
        seat.ready = self._card.copy(unit.copy_to, seat.buffer, seat.free)
        self._seats[index] = seat

    def _let_go(self) -> None:
        for index in self._bound:
            self._units[index].unbind()
        self._bound.clear()
        for seat in {*self._ring, *self._seats.values()}:
            self._card.let_go(seat.buffer)
        self._ring, self._free, self._seats, self._kept = [], [], {}, frozenset()


def _elements_of(inputs: object) -> int:
    """How many values the tensors in `inputs` hold: what activations grow with."""
    if isinstance(inputs, torch.Tensor):
        return inputs.numel()
    if isinstance(inputs, Mapping):
        return sum(_elements_of(part) for part in inputs.values())
    if isinstance(inputs, list | tuple):
        return sum(_elements_of(part) for part in inputs)
    if dataclasses.is_dataclass(inputs):
        return sum(_elements_of(getattr(inputs, field.name)) for field in dataclasses.fields(inputs))
    return 0
