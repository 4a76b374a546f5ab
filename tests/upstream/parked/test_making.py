"""What loading makes lies in memory while that has room, else on a disk, with the same values."""

import logging
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.parked.making import Making
from ltx_core.parked.mapping import FileRanges


def made() -> Iterator[torch.Tensor]:
    for number in range(1, 6):
        yield torch.full((number, 100), number, dtype=torch.float32)
    yield torch.arange(100, dtype=torch.int64).reshape(20, 5).T
    yield torch.empty(0)


def spilled(tensor: torch.Tensor) -> bool:
    """Whether it lies in a file, which has no name any more."""
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        if line.endswith(".made (deleted)"):
            start, _, end = line.split()[0].partition("-")
            if int(start, 16) <= address < int(end, 16):
                return True
    return False


@given(room=st.integers(0, 10_000))
def test_what_has_no_room_in_memory_lies_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, room: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with closing(Making(lambda nbytes: nbytes <= room, folder)) as making:
        tensors = [making.on_host(tensor) for tensor in made()]
    taken = 0
    for tensor, wanted in zip(tensors, made(), strict=True):
        taken += wanted.nbytes
        assert spilled(tensor) == (taken > room and wanted.nbytes > 0)
        assert not FileRanges().hold(tensor)  # no file is left that has it
        assert tensor.stride() == wanted.stride()
        assert torch.equal(tensor, wanted)
    assert not list(folder.iterdir())


def test_the_file_is_open_no_longer_than_tensors_come(tmp_path: Path) -> None:
    before = open_files()
    with closing(Making(lambda _: False, tmp_path)) as making:
        tensors = [making.on_host(tensor) for tensor in made()]
        assert open_files() == before + 1
    assert open_files() == before
    assert torch.equal(tensors[0], next(made()))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def files_of_at_most(nbytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_the_disk_has_no_room_either_memory_takes_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        files_of_at_most(8192),
        closing(Making(lambda _: False, tmp_path)) as making,
    ):
        tensors = [making.on_host(tensor) for tensor in made()]
    assert [spilled(tensor) for tensor in tensors] == [True, True, *[False] * 5]
    assert all(map(torch.equal, tensors, made()))
    (told,) = caplog.messages
    assert str(tmp_path) in told
    assert "ltx2-patcher cache" in told
