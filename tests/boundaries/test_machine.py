"""The machine as its own programs tell it; for a GPU, a program named nvidia-smi answers."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.machine import Memory
from ltx2_patcher.values.errors import OutsideError, UsageError
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi

MIB = 1 << 20
LOST = "Unable to determine the device handle for GPU0000:01:00.0: Unknown Error"


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is found before everything else on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def test_cards_are_read_as_the_driver_tells_them(path: Path) -> None:
    write_nvidia_smi(path, RTX_3090, H200.replace("0,", "1,", 1))
    first, second = machine.gpus()
    assert (first.name, first.total_bytes) == ("NVIDIA GeForce RTX 3090", 24 << 30)
    assert (second.index, second.capability, second.driver) == (1, (9, 0), "580.159.04")
    assert machine.gpu(None) == first
    assert (first.uuid, second.uuid) == ("GPU-ad58b9e8-0c52", "GPU-5e2f10aa-71d4")
    assert machine.gpu(1) == second
    assert second.variables["CUDA_VISIBLE_DEVICES"] == "1"
    with pytest.raises(UsageError, match="no GPU 2") as caught:
        machine.gpu(2)
    assert "0 (NVIDIA GeForce RTX 3090), 1 (NVIDIA H200)" in caught.value.remedy


@pytest.mark.parametrize(
    ("lines", "code", "remedy"),
    [
        (["No devices were found"], 6, "passed on to this container"),
        (["Failed to initialize NVML: Driver/library version mismatch"], 18, "was updated"),
        ([LOST], 15, "lost the card"),
        (["0, GPU-1, Odd, [N/A], [N/A], [N/A], 580.1"], 0, "install the driver again"),
        ([], 9, "install the driver again"),
    ],
)
def test_a_failing_driver_is_told(path: Path, lines: list[str], code: int, remedy: str) -> None:
    write_nvidia_smi(path, *lines, code=code)
    with pytest.raises(OutsideError, match="nvidia-smi fails") as caught:
        machine.gpus()
    assert (lines or [f"exit code {code}"])[0] in str(caught.value)
    assert remedy in caught.value.remedy


def test_the_cards_that_can_be_read_are_used(path: Path) -> None:
    write_nvidia_smi(path, LOST, H200.replace("0,", "1,", 1), code=15)
    (left,) = machine.gpus()
    assert (left.index, left.name) == (1, "NVIDIA H200")


def test_a_card_without_memory_of_its_own_has_the_hosts(path: Path) -> None:
    write_nvidia_smi(path, "0, GPU-1, NVIDIA GB10, [N/A], [N/A], 12.1, 580.95.05")
    (card,) = machine.gpus()
    assert card.total_bytes == machine.memory().total_bytes
    assert 0 < card.free_bytes <= card.total_bytes


@pytest.mark.parametrize(
    ("told", "name"), [("4, 16", "PCIe 4 x16"), ("[N/A], [N/A]", None), ("0, 0", None), ("", None)]
)
def test_a_card_is_linked_as_its_driver_tells(path: Path, told: str, name: str | None) -> None:
    write_nvidia_smi(path, RTX_3090, link=told)
    (card,) = machine.gpus()
    link = machine.link(card)
    assert (link and link.name) == name


SECOND = H200.replace("0,", "1,", 1)


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1]),
        ("0", [0]),
        ("1, 0", [1, 0]),
        ("GPU-5e2f", [1]),
        ("GPU-ad58b9e8-0c52,1", [0, 1]),
        ("0,7,1", [0]),
        ("0,-1,1", [0]),
        ("", []),
        ("-1", []),
    ],
)
def test_cuda_is_shown_what_its_variable_leaves(
    path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, indices: list[int]
) -> None:
    write_nvidia_smi(path, RTX_3090, SECOND)
    if visible is None:
        monkeypatch.delenv(machine.VISIBLE, raising=False)
    else:
        monkeypatch.setenv(machine.VISIBLE, visible)
    assert [gpu.index for gpu in machine.visible_gpus()] == indices
    first = machine.gpu(None)
    assert (None if first is None else first.index) == (indices[0] if indices else None)


@pytest.mark.parametrize("visible", ["7", "GPU-0", "GPU-", "MIG-1", "none"])
def test_a_variable_that_names_no_card_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    write_nvidia_smi(path, RTX_3090, SECOND)
    monkeypatch.setenv(machine.VISIBLE, visible)
    with pytest.raises(UsageError, match="names no card that is here") as caught:
        machine.visible_gpus()
    assert "0 (NVIDIA GeForce RTX 3090), 1 (NVIDIA H200)" in caught.value.remedy


def test_no_driver_is_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus() == ()
    assert machine.gpu(None) is None
    with pytest.raises(UsageError) as caught:
        machine.gpu(0)
    assert caught.value.remedy.endswith("none")
    assert machine.version_of("git") is None


def test_memory_disk_and_programs_are_real(tmp_path: Path) -> None:
    memory = machine.memory()
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert machine.free_bytes(tmp_path / "not/there/yet") > 0
    version = machine.version_of("git")
    assert version is not None
    assert version[0].isdigit()


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    host = Memory(64 * MIB, 48 * MIB)
    assert machine.within_container(host, tmp_path) == host
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.stat").write_text(f"anon {3 * MIB}\nfile {9 * MIB}\nshmem {MIB}\n")
    assert machine.within_container(host, tmp_path) == host
    for limit, left in ((32, (32, 28)), (2, (2, 0)), (99, (64, 48))):
        (tmp_path / "memory.max").write_text(f"{limit * MIB}\n")
        told = machine.within_container(host, tmp_path)
        assert (told.total_bytes // MIB, told.available_bytes // MIB) == left


@pytest.mark.skipif(machine.mappable_bytes() is None, reason="this machine maps files of any size")
def test_a_file_too_large_to_be_mapped_is_known(tmp_path: Path) -> None:
    """What Linux itself says to a mapping as torch makes it of a weight file."""
    most = machine.mappable_bytes()
    assert most is not None
    with (tmp_path / "hole").open("w+b") as file:
        file.truncate(most + 4 * MIB)
        mmap.mmap(file.fileno(), most - 64 * MIB, flags=mmap.MAP_PRIVATE).close()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            mmap.mmap(file.fileno(), most + 4 * MIB, flags=mmap.MAP_PRIVATE)
