"""A parked model computes what it computed, with whatever share of its blocks on the card."""

import copy
import gc
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.model import ParkedModel, released
from ltx_core.parked.turns import Turns

CPU = torch.device("cpu")
WIDTH = 8
SIZE = 512  # bytes of a block in its buffer: a weight and a bias, each in 256


class Model(torch.nn.Module):
    """Blocks in a row, as a transformer has them, and what is no block."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(WIDTH, WIDTH)
        self.transformer_blocks = torch.nn.ModuleList(
            torch.nn.Linear(WIDTH, WIDTH) for _ in range(blocks)
        )
        self.register_buffer("scale", torch.tensor(0.5))
        self.fails: Iterator[bool] = iter(())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.inner(values) * self.scale
        for number, block in enumerate(self.transformer_blocks):
            values = block(values)
            if number == len(self.transformer_blocks) // 2 and next(self.fails, False):
                raise torch.OutOfMemoryError
        return values


def parked(model: Model, kept: int | None, host: int | None = None) -> tuple[ParkedModel, Card]:
    """With room for that many blocks beside the ring and what is no block; None: for all. `host` is
    what host memory may take, in bytes.
    """
    card = Card(CPU, None)
    made = ParkedModel(copy.deepcopy(model), card, HostMemory(CPU, host), Turns(card))
    if kept is not None:
        ring = min(3, len(model.transformer_blocks)) * SIZE
        card.budget = made._rest.nbytes + ring + kept * SIZE
    return made, card


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.integers(1, 9),
    kept=st.none() | st.integers(0, 9),
    rows=st.lists(st.integers(1, 3), min_size=1, max_size=6),
    host=st.sampled_from([None, 0, 3 * SIZE]),
)
def test_each_pass_gives_what_the_model_gives(
    blocks: int, kept: int | None, rows: list[int], host: int | None
) -> None:
    model = Model(blocks)
    store, card = parked(model, kept, host)
    with torch.inference_mode():
        for use in range(2):
            handle = store.handed_out()
            for number in rows:
                values = torch.randn(number, WIDTH)
                assert torch.equal(handle(values), model(values)), (use, number)
            del handle
            assert card._held == 0


@pytest.mark.parametrize("kept", [0, 2, 4, 6])
def test_the_budget_is_filled_and_kept(kept: int) -> None:
    store, card = parked(Model(6), kept)
    handle = store.handed_out()
    for _ in range(3):
        handle(torch.randn(1, WIDTH))
        assert card._held <= (card.budget or 0)
    assert len(store._blocks._kept) == kept
    assert card.room() == 0 if kept < 6 else True


@pytest.mark.parametrize("kept", [0, 1, 3, 6])
def test_a_pass_that_breaks_off_leaves_the_next_one_right(kept: int) -> None:
    model = Model(6)
    store, _ = parked(model, kept)
    handle = store.handed_out()
    for _ in range(3):
        store._model.fails = iter((False, True, True))
        handle(torch.randn(1, WIDTH))
        with pytest.raises(torch.OutOfMemoryError):
            handle(torch.randn(1, WIDTH))
        store._model.fails = iter(())
        values = torch.randn(1, WIDTH)
        assert torch.equal(handle(values), model(values))


def test_kept_blocks_are_given_up_where_memory_runs_out() -> None:
    model = Model(6)
    store, _ = parked(model, 4)
    handle = store.handed_out()
    values = torch.randn(1, WIDTH)
    for _ in range(2):
        handle(values)
    assert store._blocks.keeps
    store._model.fails = iter((True,))
    assert torch.equal(handle(values), model(values))
    assert not store._blocks.keeps
    assert torch.equal(handle(values), model(values))
    assert not store._blocks.keeps  # as long as the inputs are as large


def test_inputs_that_came_before_keep_from_their_first_pass_on() -> None:
    """Whatever the budget is by then; others are measured."""
    model = Model(6)
    store, card = parked(model, 4)
    kept = []
    for rows, more in ((2, 0), (2, 0), (2, -SIZE), (2, SIZE), (1, 0), (1, 0)):
        card.budget += more
        handle = store.handed_out()
        for _ in range(2):
            values = torch.randn(rows, WIDTH)
            assert torch.equal(handle(values), model(values))
            assert card._held <= card.budget
            kept.append(len(store._blocks._kept))
        del handle
    assert kept == [0, 4, 4, 4, 3, 3, 4, 4, 0, 4, 4, 4]


def test_what_memory_did_not_hold_is_measured_anew() -> None:
    model = Model(6)
    store, _ = parked(model, 4)
    values = torch.randn(1, WIDTH)
    kept = []
    for fails in ((), (False, True), (), ()):
        handle = store.handed_out()
        store._model.fails = iter(fails)
        for _ in range(2):
            assert torch.equal(handle(values), model(values))
            kept.append(len(store._blocks._kept))
        del handle
    assert kept == [0, 4, 4, 0, 0, 4, 4, 4]


def test_larger_inputs_measure_anew() -> None:
    store, _ = parked(Model(6), 4)
    handle = store.handed_out()
    for rows, keeps in ((1, False), (1, True), (2, False), (2, True), (1, True)):
        handle(torch.randn(rows, WIDTH))
        assert store._blocks.keeps is keeps


def test_room_is_made_for_others_in_the_middle() -> None:
    model = Model(6)
    store, card = parked(model, 4)
    handle = store.handed_out()
    values = torch.randn(1, WIDTH)
    for _ in range(2):
        handle(values)
    store.make_room()
    assert card._held == store._rest.nbytes
    assert torch.equal(handle(values), model(values))


def test_disposing_ends_the_lease_and_leaves_the_weights() -> None:
    model = Model(3)
    store, card = parked(model, None)
    for _ in range(2):
        wrapper = torch.nn.Sequential(store.handed_out())
        values = torch.randn(1, WIDTH)
        assert torch.equal(wrapper(values), model(values))
        assert released(wrapper)
        assert card._held == 0
        del wrapper
        gc.collect()
    assert not released(model)


def test_two_users_share_one_copy() -> None:
    model = Model(3)
    store, card = parked(model, None)
    one, other = store.handed_out(), store.handed_out()
    values = torch.randn(1, WIDTH)
    assert torch.equal(one(values), other(values))
    del one
    assert torch.equal(other(values), model(values))
    del other
    assert card._held == 0


def test_a_model_on_the_host_tells_of_its_parameters_what_it_told_before() -> None:
    model = Model(3)
    store, _ = parked(model, None)
    handle = store.handed_out()
    theirs = dict(handle.named_parameters())
    for name, parameter in model.named_parameters():
        assert theirs[name].shape == parameter.shape
        assert (theirs[name].dtype, theirs[name].device) == (parameter.dtype, parameter.device)
    assert handle.to(CPU) is handle


def test_host_memory_holds_what_its_budget_has_room_for() -> None:
    model = Model(6)
    host, card = HostMemory(CPU, 4 * SIZE), Card(CPU, None)
    made = ParkedModel(copy.deepcopy(model), card, host, Turns(card))
    assert host._held == made._rest.nbytes + 2 * SIZE
    assert not host.has_room(SIZE)
    made.let_go()
    assert host._held == 0
    assert HostMemory(CPU, None).has_room(SIZE)
    assert not HostMemory(CPU, None).has_room(2**60)
