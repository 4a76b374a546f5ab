"""What came next before is on the card when it comes again, where there is room and nobody asks."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_core.parked import model as parked_model
from ltx_core.parked import park_weights, process, take_out_parked_weights
from ltx_core.parked import turns as parked_turns
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.model import ParkedModel
from ltx_core.parked.store import WeightStore
from ltx_core.parked.turns import Turns

from tests.upstream.parked.test_model import CPU, SIZE, WIDTH, Model

REST = 768  # bytes of what of it is no block: a weight, a bias and a scale, each in 256
BLOCKS = 5


@pytest.fixture(autouse=True, scope="module")
def no_part_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parked_turns, "SMALL", 0)
        patch.setattr(parked_model, "SMALL", 0)
        yield


class CountingCard(Card):  # type: ignore[misc]
    """Which holds no more than its budget, ever, and counts copies."""

    copies = 0
    has_memory = True

    def buffer(self, nbytes: int) -> torch.Tensor:
        if not self.has_memory:
            raise torch.OutOfMemoryError
        buffer: torch.Tensor = super().buffer(nbytes)
        assert self.budget is None or self._held <= self.budget
        return buffer

    def copy(
        self, copy_to: Callable[[torch.Tensor], None], buffer: torch.Tensor, after: None
    ) -> None:
        self.copies += 1
        super().copy(copy_to, buffer, after)


class Called(torch.nn.Module):
    """As the embeddings processor: each part comes when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_extractor = torch.nn.Linear(WIDTH, WIDTH)
        self.video_connector = torch.nn.Linear(WIDTH, WIDTH)
        self.turned = False

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        parts = (self.feature_extractor, self.video_connector)
        for part in reversed(parts) if self.turned else parts:
            values = part(values)
        return values


class Store:
    """Models of blocks, and of none, that take turns on a card with room for so many blocks more
    than one of them needs; None: for all. `host` is what host memory may take of each, in bytes.
    """

    def __init__(self, room: int | None, host: int | None = None) -> None:
        self.models: list[Model | Called] = [Model(count) for count in (BLOCKS, BLOCKS, 0, 0)]
        self.models.append(Called())
        self.card = CountingCard(CPU, None if room is None else REST + (3 + room) * SIZE)
        self.turns = Turns(self.card)
        self.parked = [
            ParkedModel(copy.deepcopy(model), self.card, HostMemory(CPU, host), self.turns)
            for model in self.models
        ]
        assert self.parked[0]._rest.nbytes == REST
        self.kept: list[tuple[int, int]] = []  # of each pass: its number in its turn, and how many

    def use(self, number: int, passes: int = 1) -> int:
        """Check what a model computes, and say how many copies it took from its hand-out on."""
        before = self.card.copies
        parked = self.parked[number]
        handle = parked.handed_out()
        for index in range(passes):
            values = torch.randn(1, WIDTH)
            assert torch.equal(handle(values), self.models[number](values))
            if parked._blocks is not None:
                self.kept.append((index, len(parked._blocks._kept)))
        return self.card.copies - before

    @property
    def ahead(self) -> int | None:
        """The model of what is on the card for its next turn."""
        held = self.turns._ahead
        return None if held is None else [m._rest for m in self.parked].index(held.unit)


def test_a_turn_that_comes_again_has_its_next_model_sent_ahead() -> None:
    """Twice in a clip, by what came before it."""
    store = Store(room=None)
    for clip in range(3):
        assert store.ahead is None  # no block passes in the turn that ends a clip
        store.use(0, 4)
        assert store.ahead == (2 if clip == 2 else None)  # in the second, 0 came after 3 at first
        assert store.use(2) == (0 if clip == 2 else 1)
        store.use(0, 2)
        assert store.ahead == (3 if clip else None)
        assert store.use(3) == (0 if clip else 1)
    assert store.card._held == 0


def test_the_last_pass_copies_no_block_for_another() -> None:
    store = Store(room=0)
    first = store.use(0, 3)
    store.use(2)
    store.use(1)
    again = store.use(0, 3), store.use(2), store.use(1), store.use(0, 3)
    assert first == 1 + 3 * BLOCKS + 3
    assert again[3] == 1 + 3 * BLOCKS
    assert store.ahead is None  # the ring is all that the budget has room for


def test_another_model_or_another_pass_ends_the_guess() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0, 3)
        store.use(2)
    store.use(0, 3)
    assert store.ahead == 2
    assert store.use(1) == BLOCKS + 3 + 1
    assert store.ahead is None
    store.use(0, 3)
    store.use(2)
    store.use(0, 5)
    assert store.ahead is None
    assert store.card._held == 0


def test_a_guess_after_the_first_pass_keeps_no_block_from_staying() -> None:
    store = Store(room=3)
    for _ in range(2):
        store.use(0)
        store.use(2)
    handle = store.parked[0].handed_out()
    kept = []
    for _ in range(4):
        handle(torch.randn(1, WIDTH))
        kept.append(len(store.parked[0]._blocks._kept))
    assert kept == [0, 0, 3, 3]  # the second is measured once more


def test_a_run_that_breaks_off_leaves_the_next_one_right() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0, 3)
        store.use(2)
    handle = store.parked[0].handed_out()
    for fails in (False, False, True):
        store.parked[0]._model.fails = iter((fails, fails))
        if fails:
            with pytest.raises(torch.OutOfMemoryError):
                handle(torch.randn(1, WIDTH))
        else:
            handle(torch.randn(1, WIDTH))
    store.parked[0]._model.fails = iter(())
    del handle
    for _ in range(3):
        store.use(0, 3)
        store.use(2)
    assert store.use(0, 3) and store.ahead == 2
    assert store.turns.let_go()
    assert store.card._held == 0


def test_a_part_that_is_called_is_sent_ahead_for_the_call() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0)
        assert store.use(4) == 3  # one is of no bytes
    store.use(0)
    held = store.turns._ahead
    assert held.unit is store.parked[4].first
    assert store.use(4) == 2
    store.use(0)
    store.parked[4]._model.turned = store.models[4].turned = True
    assert store.use(4) == 3
    assert store.card._held == 0


def test_a_model_of_small_parts_ends_a_guess_when_it_is_handed_out() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0)
        store.use(2)
    store.use(0)
    assert store.ahead == 2
    handle = store.parked[4].handed_out()
    assert store.card._held == 0
    del handle


def test_where_memory_runs_out_the_guess_goes_and_the_forward_is_repeated() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0)
        store.use(2)
    store.parked[0]._model.fails = iter((True,))
    store.use(0)
    assert store.ahead is None


def test_memory_that_another_process_took_ends_no_run() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0, 3)
        store.use(2)
    handle = store.parked[0].handed_out()
    for _ in range(3):
        handle(torch.randn(1, WIDTH))
        store.card.has_memory = store.parked[0]._blocks._passes < 2
    assert store.ahead is None


def test_what_is_in_use_or_lies_on_a_disk_is_not_sent_ahead() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0)
        store.use(2)
    handle = store.parked[2].handed_out()
    store.use(0)
    assert store.turns._ahead is None
    del handle
    store = Store(room=8, host=0)
    for _ in range(3):
        store.use(0)
        assert store.turns._ahead is None
        store.use(2)


@pytest.mark.parametrize("end", [park_weights, take_out_parked_weights])
def test_a_new_request_ends_a_guess(
    end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, weights = Store(room=8), WeightStore()
    for _ in range(2):
        store.use(0)
        store.use(2)
    store.use(0)
    assert store.ahead == 2
    weights._card, weights._host, weights._turns = store.card, HostMemory(CPU, None), store.turns
    monkeypatch.setattr(process, "_store", [weights])
    end()
    assert store.card._held == 0


def test_what_is_gone_is_not_sent_ahead() -> None:
    store = Store(room=8)
    for _ in range(2):
        store.use(0, 3)
        store.use(2)
    store.parked[2] = store.parked[3]
    store.use(0, 3)
    assert store.turns._ahead is None


TURNS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None)
@given(room=st.none() | st.integers(0, 9), turns=TURNS, others=TURNS)
def test_any_order_computes_the_same_within_the_budget(
    room: int | None, turns: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    store, unguessing = Store(room), Store(room)
    unguessing.turns.send_ahead = lambda: None
    for turn in (*turns, *turns, *others, *turns):
        for each in (store, unguessing):
            each.use(*turn)
    for (index, kept), (_, wanted) in zip(store.kept, unguessing.kept, strict=True):
        assert kept == wanted or (index, kept) == (1, 0)  # measured once more
    store.turns.let_go()
    assert store.card._held == 0
