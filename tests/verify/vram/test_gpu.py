"""Which GPU is measured follows CUDA_VISIBLE_DEVICES; one that can't hold the budget is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ltx2_patcher.jobs.models.gate import require_room
from ltx2_patcher.rules.models.card import parse_card
from ltx2_patcher.values.errors import OutsideError, UsageError
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi
from verify.vram.gpu import chosen_gpu

CARD = parse_card("24GB")


def show(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: str, visible: str | None = None
) -> None:
    write_nvidia_smi(folder, *lines)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


@pytest.mark.parametrize(
    ("visible", "index"),
    [(None, 0), ("0", 0), ("1", 1), ("1,0", 1), ("", None), ("-1", None), ("7", None)],
)
def test_the_first_that_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visible: str | None, index: int | None
) -> None:
    show(monkeypatch, tmp_path / "bin", RTX_3090, H200.replace("0,", "1,", 1), visible=visible)
    found = chosen_gpu()
    assert (None if found is None else found.index) == index


def test_another_name_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    show(monkeypatch, tmp_path / "bin", RTX_3090, visible="GPU-ad58b9e8")
    with pytest.raises(UsageError, match="names GPU-ad58b9e8"):
        chosen_gpu()


@pytest.mark.parametrize("gpu", [RTX_3090, H200])
def test_a_card_and_a_larger_gpu_hold_the_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: str
) -> None:
    show(monkeypatch, tmp_path / "bin", gpu)
    found = chosen_gpu()
    assert require_room(found, CARD) == found


@pytest.mark.parametrize(
    ("gpu", "said", "remedy"),
    [
        ("0, NVIDIA T4, 15360, 15100, 7.5, 580.95.05", "has 15.0 GiB, less than", "15GB"),
        (RTX_3090.replace("24100", "16000"), "other processes hold 8.4 GiB", "end them"),
    ],
)
def test_a_card_that_is_too_small_or_taken_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: str, said: str, remedy: str
) -> None:
    show(monkeypatch, tmp_path / "bin", gpu)
    with pytest.raises(OutsideError, match=said) as caught:
        require_room(chosen_gpu(), CARD)
    assert remedy in caught.value.remedy
