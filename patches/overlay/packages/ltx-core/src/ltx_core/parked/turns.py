"""The order in which models come to a card: what came next before comes again, and its first weights are sent ahead."""

import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ltx_core.parked.card import Card, Event
from ltx_core.parked.unit import Unit

if TYPE_CHECKING:
    from ltx_core.parked.model import ParkedModel

SMALL = 16 * 1024**2
"""Bytes that are no use to send ahead: a link of 16 GB/s takes them in a millisecond."""
_REMEMBERED = 64  # turns: a clip has 5 to 12


@dataclass
class _Turn:
    """From when a model is handed out until the next one is."""

    model: "weakref.ref[ParkedModel] | None"
    passes: int = 0  # that blocks began meanwhile, of this model or of one that was handed out before


@dataclass(frozen=True)
class _Ahead:
    """A unit on its way to the card that nobody has asked for yet."""

    unit: Unit
    buffer: torch.Tensor
    there: Event


class Turns:
    """What the models of one card did lately, and at most one unit that is on the card since it is likely next.

    A turn is told by its model and the one before: upstream's transformer has two in a clip.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._turns = deque([_Turn(None)], maxlen=_REMEMBERED)
        self._before: tuple[_Turn, _Turn] | None = None  # the turn that was like this one, and what followed it
        self._ahead: _Ahead | None = None

    def begin(self, model: "ParkedModel") -> None:
        """Let the turn of `model` begin; what is on the card for another goes."""
        if self._ahead is not None and self._ahead.unit is not model.first:
            self.let_go()
        self._turns.append(_Turn(weakref.ref(model)))
        self._before = self._like_the_last()

    def begin_pass(self) -> bool:
        """Count a pass of blocks, and say whether this turn ends with it, if it goes as the one before."""
        self._turns[-1].passes += 1
        return self._before is not None and self._turns[-1].passes == self._before[0].passes

    def send_ahead(self) -> None:
        """Copy what the next model needs first, if there is room: what is at work has taken all that it needs."""
        following = None if self._before is None else self._before[1].model()
        unit = None if following is None else following.first
        if unit is None or unit.lies_in_file or self._ahead is not None:
            return
        room = self._card.room()
        if room is not None and unit.nbytes > room:
            return
        try:
            buffer = self._card.buffer(unit.nbytes)
        except torch.OutOfMemoryError:  # another process has it; without a guess the run would not have asked
            return
        self._ahead = _Ahead(unit, buffer, self._card.copy(unit.copy_to, buffer, self._card.reached()))

    def brought(self, unit: Unit) -> tuple[torch.Tensor, Event]:
        """Return a buffer and when `unit` is in it. Raises: OSError."""
        ahead = self._ahead
        if ahead is not None and ahead.unit is unit:
            self._ahead = None
            return ahead.buffer, ahead.there
        if unit.nbytes > SMALL:
            self.let_go()
        buffer = self._card.buffer(unit.nbytes)
        return buffer, self._card.copy(unit.copy_to, buffer, self._card.reached())

    def let_go(self) -> bool:
        """Leave the card to others, and say whether there was anything."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._card.let_go(ahead.buffer)
        return ahead is not None

    def _like_the_last(self) -> tuple[_Turn, _Turn] | None:
        turns = list(self._turns)
        last = [turn.model for turn in turns[-2:]]
        for index in range(len(turns) - 2, 0, -1):
            if [turn.model for turn in turns[index - 1 : index + 1]] == last:
                return turns[index], turns[index + 1]
        return None
