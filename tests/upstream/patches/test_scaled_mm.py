"""The group `ampere`: fp8 products are refused before a model is loaded, where a card has none."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ltx_pipelines.utils.scaled_mm import scaled_mm_refusal

from tests.upstream.conftest import FileSets


@pytest.fixture
def refused(
    fileset: FileSets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[tuple[int, int]], str]:
    """What the real script says to fp8-scaled-mm on a card that this machine has not."""
    files = fileset("2.0")
    argv = {
        "--checkpoint-path": files.checkpoint,
        "--gemma-root": files.gemma_root,
        "--spatial-upsampler-path": files.spatial_upsampler,
        "--distilled-lora": files.distilled_lora,
        "--prompt": "a fox",
        "--output-path": tmp_path / "clip.mp4",
        "--quantization": "fp8-scaled-mm",
    }
    words = [str(word) for pair in argv.items() for word in pair]
    script = importlib.import_module("ltx_pipelines.ti2vid_two_stages")

    def told(capability: tuple[int, int]) -> str:
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        monkeypatch.setattr(sys, "argv", ["ti2vid_two_stages", *words])
        # As torch would tell of it.
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        name = "NVIDIA GeForce RTX 3090"
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: name)
        with pytest.raises((SystemExit, Exception)) as ended:
            script.main()
        return f"{ended.value}\n{capsys.readouterr().err}"

    return told


def test_below_8_9_it_is_one_sentence(refused: Callable[[tuple[int, int]], str]) -> None:
    said = refused((8, 6))
    assert (
        "fp8-scaled-mm needs compute capability 8.9 or newer, and NVIDIA GeForce RTX 3090 has 8.6; "
        "give fp8-cast, which computes in bf16"
    ) in said


@pytest.mark.slow
def test_from_8_9_on_upstream_has_its_say(refused: Callable[[tuple[int, int]], str]) -> None:
    assert "needs compute capability" not in refused((8, 9))


def test_without_a_card_and_for_other_policies_nothing_is_refused() -> None:
    assert scaled_mm_refusal("fp8-scaled-mm") is None
    assert scaled_mm_refusal("fp8-cast") is None
