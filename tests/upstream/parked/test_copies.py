"""Copies of parked weights: whole or not there, one for all, gone when nobody wants them."""

import fcntl
import logging
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ltx_core.parked.card import Card
from ltx_core.parked.copies import Copies, Copy, CopyDiffersError
from ltx_core.parked.host import HostMemory
from ltx_core.parked.layout import Form, Layout
from ltx_core.parked.model import ParkedModel
from ltx_core.parked.turns import Turns

from tests.upstream.parked.copy_holder import LAYOUT, Holder

CPU = torch.device("cpu")
NAME = "Model-0123"


class Model(torch.nn.Module):
    """Blocks in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer_blocks = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(3))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for block in self.transformer_blocks:
            values = block(values)
        return values


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(params=["in memory", "on a disk"])
def folder(request: pytest.FixtureRequest, memory: Path, disk: Path) -> Path:
    return memory if request.param == "in memory" else disk


def fill(number: float) -> Callable[[list[torch.Tensor]], None]:
    def filled(views: list[torch.Tensor]) -> None:
        views[0].fill_(number)

    return filled


def make(copies: Copies, name: str = NAME, number: float = 1) -> Copy:
    copy = copies.found_or_begun(name)
    assert copy.is_new
    copy.unit(LAYOUT, fill(number))
    copy.finish("state")
    return copy


def first(copy: Copy) -> float:
    """The first value in it."""
    number = copy.unit(LAYOUT, fill(0))
    assert number is not None
    return float(LAYOUT.views(copy.mapped(number))[0][0])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_what_was_put_in_comes_back(folder: Path) -> None:
    made = make(Copies(folder))
    found = Copies(folder).found(NAME)
    assert found is not None
    assert (found.is_new, found.state, first(found)) == (False, "state", 1)
    made.let_go()
    assert names(folder) == [f"{NAME}.weights"]
    found.let_go()
    assert names(folder) == ([] if Copies(folder).in_memory else [f"{NAME}.weights"])


@pytest.mark.parametrize("host", [None, 0])
def test_a_model_computes_with_a_copy_what_it_computed(folder: Path, host: int | None) -> None:
    """Also one that was built without values."""
    model, values = Model(), torch.randn(2, 8)
    wanted = model(values)
    for is_new in (True, False):
        copy = Copies(folder).found_or_begun(NAME)
        assert copy.is_new is is_new
        card = Card(CPU, None)
        store = ParkedModel(model, card, HostMemory(CPU, host), Turns(card), copy)
        copy.finish(None)
        assert torch.equal(store.handed_out()(values), wanted)
        model = Model()


@pytest.mark.parametrize("layouts", [[Layout.of([])], [LAYOUT, LAYOUT]], ids=["other", "more"])
def test_one_that_is_of_another_model_is_refused(folder: Path, layouts: list[Layout]) -> None:
    made = make(Copies(folder))
    found = Copies(folder).found(NAME)
    assert found is not None
    *begun, last = layouts
    for layout in begun:
        found.unit(layout, fill(0))
    with pytest.raises(CopyDiffersError):
        found.unit(last, fill(0))
    found.discard()
    assert names(folder) == []
    make(Copies(folder), number=2)
    made.let_go()


def test_one_that_is_cut_off_is_not_used(folder: Path) -> None:
    held = make(Copies(folder))
    place = folder / f"{NAME}.weights"
    os.truncate(place, place.stat().st_size - 1)
    assert Copies(folder).found(NAME) is None
    assert names(folder) == []
    held.let_go()


def test_of_two_that_begin_at_once_one_makes_it(folder: Path) -> None:
    holders = [Holder(folder, NAME, number, finish=True) for number in (1, 2)]
    assert sorted(holder.made() for holder in holders) == [False, True]
    assert names(folder) == [f"{NAME}.weights"]
    for holder in holders:
        holder.end()


def test_who_is_killed_while_it_makes_one_leaves_nothing(folder: Path) -> None:
    holder = Holder(folder, NAME, 1, finish=False)
    assert holder.made()
    holder.kill()
    assert names(folder) == [f"{NAME}.part"]
    assert Copies(folder).found(NAME) is None
    copy = make(Copies(folder), number=2)
    assert names(folder) == [f"{NAME}.weights"]
    found = Copies(folder).found(NAME)
    assert found is not None and first(found) == 2
    copy.let_go()


def test_what_a_killed_process_left_goes_with_the_next(folder: Path) -> None:
    for name, finish in (("Killed-1", False), ("Killed-2", True)):
        holder = Holder(folder, name, 1, finish=finish)
        holder.made()
        holder.kill()
    copies = Copies(folder)
    make(copies).let_go()
    assert copies.make_room(0)
    assert names(folder) == ([] if copies.in_memory else ["Killed-2.weights", f"{NAME}.weights"])


def test_what_a_killed_process_left_serves_who_wants_the_same(folder: Path) -> None:
    holder = Holder(folder, NAME, 3, finish=True)
    holder.made()
    holder.kill()
    copy = Copies(folder).found_or_begun(NAME)
    assert not copy.is_new
    assert first(copy) == 3


def test_it_stays_as_long_as_one_process_uses_it(memory: Path) -> None:
    copy = make(Copies(memory))
    holder = Holder(memory, NAME, 0, finish=True)
    assert not holder.made()
    copy.let_go()
    assert Copies(memory).make_room(0)
    assert names(memory) == [f"{NAME}.weights"]
    holder.end()
    assert names(memory) == []


def test_a_full_folder_takes_none(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is in it already serves its process to the end."""
    large = Layout.of([Form((2**23,), (1,), torch.uint8)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, hard))
    try:
        copy = Copies(folder).found_or_begun(NAME)
        number = copy.unit(LAYOUT, fill(5))
        with caplog.at_level(logging.WARNING):
            assert copy.unit(large, fill(6)) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "takes no copy" in caplog.text
    assert copy.unit(LAYOUT, fill(7)) is None
    copy.finish(None)
    assert names(folder) == []
    assert number == 0
    assert LAYOUT.views(copy.mapped(number))[0][0] == 5
    make(Copies(folder)).let_go()


def test_what_was_used_longest_ago_goes_for_what_is_new(disk: Path) -> None:
    """What is in use stays."""
    copies = Copies(disk)
    held = make(copies, "Held-1")
    for name in ("Old-1", "New-1", "Old-2"):
        make(copies, name).let_go()
    for age, name in enumerate(("Old-2", "New-1", "Old-1", "Held-1")):
        os.utime(disk / f"{name}.weights", ns=(0, 10**9 * (10 - age)))
    size = (disk / "Old-1.weights").stat().st_size
    found = copies.found("Old-2")  # which makes it the newest
    assert found is not None
    found.let_go()
    assert Copies(disk, 4 * size).make_room(size)
    assert names(disk) == ["Held-1.weights", "New-1.weights", "Old-2.weights"]
    assert not Copies(disk, 2 * size).make_room(2 * size)
    assert names(disk) == ["Held-1.weights"]
    held.let_go()


def test_whoever_locks_a_file_keeps_it(memory: Path) -> None:
    """As a service does for workers that come and go."""
    copy = make(Copies(memory))
    with (memory / f"{NAME}.weights").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        copy.let_go()
        assert names(memory) == [f"{NAME}.weights"]
    assert Copies(memory).make_room(0)
    assert names(memory) == []
