"""The machine as its own programs tell it; for a GPU, a program named nvidia-smi answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.boundaries import machine
from ltx2_patcher.values.errors import OutsideError, UsageError
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi


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
    assert machine.gpu(1) == second
    assert second.variables["CUDA_VISIBLE_DEVICES"] == "1"
    with pytest.raises(UsageError, match="no GPU 2") as caught:
        machine.gpu(2)
    assert "0 (NVIDIA GeForce RTX 3090), 1 (NVIDIA H200)" in caught.value.remedy


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["No devices were found"], 6),
        (["Failed to initialize NVML: Driver/library version mismatch"], 18),
        (["0, Odd, [N/A], [N/A], 8.6, 580.1"], 0),
    ],
)
def test_a_failing_driver_is_told(path: Path, lines: list[str], code: int) -> None:
    write_nvidia_smi(path, *lines, code=code)
    with pytest.raises(OutsideError, match="nvidia-smi fails") as caught:
        machine.gpus()
    assert lines[0] in str(caught.value)


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
