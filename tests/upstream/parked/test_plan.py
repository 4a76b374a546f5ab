"""As many blocks are kept as fit, evenly spread; a pass takes what the order of copies gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.mapping import FileRanges
from ltx_core.parked.passing import SEATS, PassingBlocks
from ltx_core.parked.places import Place
from ltx_core.parked.plan import kept_blocks, pass_seconds
from ltx_core.parked.turns import Turns
from ltx_core.parked.unit import Home, Unit

SIZE = 7


@given(st.integers(1, 64), st.integers(0, 70))
def test_as_many_as_fit_are_kept(blocks: int, fitting: int) -> None:
    kept = kept_blocks([SIZE] * blocks, fitting * SIZE + SIZE - 1)
    assert len(kept) == min(fitting, blocks)
    assert kept <= set(range(blocks))


@given(st.integers(1, 64), st.integers(1, 64))
def test_those_that_pass_lie_evenly_between(blocks: int, fitting: int) -> None:
    kept = sorted(kept_blocks([SIZE] * blocks, fitting * SIZE))
    gaps = {after - before for before, after in pairwise(kept)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.lists(st.integers(1, 99), min_size=1, max_size=64), st.integers(0, 9999))
def test_never_more_than_the_room(sizes: list[int], room: int) -> None:
    kept = kept_blocks(sizes, room)
    assert sum(sizes[index] for index in kept) <= room
    assert kept or min(sizes) > room or sizes[-1] > room
    assert len(kept) == len(sizes) or sum(sizes) > room


@dataclass(frozen=True)
class Model:
    """What a pass is reckoned from."""

    sizes: tuple[int, ...]
    kept: frozenset[int]
    arithmetic_s: tuple[int, ...]
    bytes_per_s: int = 1
    seats: int = SEATS

    @property
    def seconds(self) -> float:
        seconds: float = pass_seconds(
            self.sizes, self.kept, self.arithmetic_s, self.bytes_per_s, self.seats
        )
        return seconds

    @property
    def copies_s(self) -> float:
        """Of one pass, one after the other."""
        passing = [size for index, size in enumerate(self.sizes) if index not in self.kept]
        return sum(passing) / self.bytes_per_s if len(passing) > self.seats else 0


@st.composite
def models(draw: st.DrawFn) -> Model:
    count = draw(st.integers(1, 12))

    def numbers(least: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(least, 20)] * count)

    return Model(
        sizes=draw(numbers(1)),
        kept=draw(st.frozensets(st.integers(0, count - 1))),
        arithmetic_s=draw(numbers(0)),
        bytes_per_s=draw(st.integers(1, 4)),
        seats=draw(st.integers(1, 4)),
    )


def at_most(seconds: float) -> float:
    return seconds * (1 + 1e-9) + 1e-9


@given(models())
def test_neither_arithmetic_nor_copies_are_left_out(model: Model) -> None:
    arithmetic_s = sum(model.arithmetic_s)
    assert max(arithmetic_s, model.copies_s) <= at_most(model.seconds)
    assert model.seconds <= at_most(arithmetic_s + model.copies_s)


@given(models())
def test_with_every_block_on_the_card_arithmetic_is_all(model: Model) -> None:
    every = frozenset(range(len(model.sizes)))
    assert replace(model, kept=every).seconds == sum(model.arithmetic_s)


@given(models(), st.integers(0, 11))
def test_one_more_that_is_kept_makes_no_pass_slower(model: Model, index: int) -> None:
    more = replace(model, kept=model.kept | {index % len(model.sizes)})
    assert more.seconds <= at_most(model.seconds)


@given(models())
def test_neither_a_faster_link_nor_another_seat_makes_a_pass_slower(model: Model) -> None:
    assert replace(model, bytes_per_s=model.bytes_per_s + 1).seconds <= at_most(model.seconds)
    assert replace(model, seats=model.seats + 1).seconds <= at_most(model.seconds)


@given(st.integers(SEATS + 1, 12), st.integers(1, 20), st.integers(0, 20))
def test_of_equal_blocks_the_slower_of_both_decides(count: int, size: int, seconds: int) -> None:
    model = Model((size,) * count, frozenset(), (seconds,) * count)
    assert model.seconds == pytest.approx(count * max(size, seconds))


class ClockCard(Card):  # type: ignore[misc]
    """Whose events are seconds of clocks of its own. A copy takes what `seconds` says of the block
    whose number is its first byte; arithmetic goes on when the test says so.
    """

    def __init__(self, room: int, seconds: Sequence[int]) -> None:
        super().__init__(torch.device("cpu"), None)
        self.now_s = self.copied_s = 0.0
        self._room, self._seconds = room, seconds

    def room(self, taken: int | None = None) -> int:
        return self._room

    def copy(
        self, copy_to: Callable[[torch.Tensor], None], buffer: torch.Tensor, after: float
    ) -> float:
        copy_to(buffer)
        self.copied_s = max(self.copied_s, after) + self._seconds[int(buffer[0])]
        return self.copied_s

    def reached(self) -> float:
        return self.now_s

    def wait(self, event: float) -> None:
        self.now_s = max(self.now_s, event)


@settings(deadline=None)
@given(
    copies_s=st.lists(st.integers(1, 20), min_size=SEATS + 1, max_size=10),
    kept=st.integers(0, 10),
    data=st.data(),
)
def test_the_blocks_of_a_model_pass_as_reckoned(
    copies_s: list[int], kept: int, data: st.DataObject
) -> None:
    count = len(copies_s)
    arithmetic_s = data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    weights = [
        torch.nn.Parameter(torch.full((256,), n, dtype=torch.uint8), requires_grad=False)
        for n in range(count)
    ]
    card = ClockCard(256 * kept, copies_s)
    home = Home(HostMemory(card.device, None), FileRanges())
    units = [Unit([[Place(weight, "data")]], card.device, home) for weight in weights]
    blocks = PassingBlocks(card, units, Turns(card))
    ends = []
    for _ in range(124):
        for index in range(count):
            blocks.before(index, torch.ones(1))
            assert weights[index][0] == index
            card.now_s += arithmetic_s[index]
            blocks.after(index)
        ends.append(card.now_s)
    steady = (ends[-1] - ends[-61]) / 60
    stay = kept_blocks([256] * count, 256 * kept)
    assert steady == pytest.approx(pass_seconds(copies_s, stay, arithmetic_s, 1, SEATS))
