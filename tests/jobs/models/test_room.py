"""A GPU that can't hold the budget is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.jobs.models.room import require_room
from ltx2_patcher.rules.models.card import parse_card
from ltx2_patcher.values.errors import OutsideError
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi

CARD = parse_card("24GB")


def shown(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> Gpu | None:
    monkeypatch.setenv("PATH", str(write_nvidia_smi(folder, line)), prepend=os.pathsep)
    monkeypatch.delenv(machine.VISIBLE, raising=False)
    return machine.gpu(None)


@pytest.mark.parametrize("gpu", [RTX_3090, H200])
def test_a_card_and_a_larger_gpu_hold_the_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: str
) -> None:
    found = shown(monkeypatch, tmp_path / "bin", gpu)
    assert require_room(found, CARD) == found


@pytest.mark.parametrize(
    ("gpu", "said", "remedy"),
    [
        ("0, GPU-1, NVIDIA T4, 15360, 15100, 7.5, 580.95.05", "has 15.0 GiB, less than", "15GB"),
        (RTX_3090.replace("24100", "16000"), "other processes hold 8.4 GiB", "end them"),
    ],
)
def test_a_card_that_is_too_small_or_taken_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: str, said: str, remedy: str
) -> None:
    found = shown(monkeypatch, tmp_path / "bin", gpu)
    with pytest.raises(OutsideError, match=said) as caught:
        require_room(found, CARD)
    assert remedy in caught.value.remedy
