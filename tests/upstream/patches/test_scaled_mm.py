"""The group `ampere`: fp8 products are refused before a model is loaded, where a card has none."""

import subprocess
import sys
from pathlib import Path

import pytest
from ltx_pipelines.utils.scaled_mm import scaled_mm_refusal

from tests.upstream.conftest import FileSets

# A card that this machine has not, as torch would tell of it.
SCRIPT = """
import sys, torch
torch.cuda.is_available = lambda: True
torch.cuda.get_device_capability = lambda device=None: ({major}, {minor})
torch.cuda.get_device_name = lambda device=None: "NVIDIA GeForce RTX 3090"
from ltx_pipelines import ti2vid_two_stages
torch.cuda.is_available = lambda: True
sys.argv = ["ti2vid_two_stages", *{argv!r}]
ti2vid_two_stages.main()
"""


def refused(files: FileSets, capability: tuple[int, int], folder: Path) -> str:
    """What the real script says to fp8-scaled-mm on such a card."""
    checkpoint = files("2.0")
    argv = {
        "--checkpoint-path": checkpoint.checkpoint,
        "--gemma-root": checkpoint.gemma_root,
        "--spatial-upsampler-path": checkpoint.spatial_upsampler,
        "--distilled-lora": checkpoint.distilled_lora,
        "--prompt": "a fox",
        "--output-path": folder / "clip.mp4",
        "--quantization": "fp8-scaled-mm",
    }
    words = [str(word) for pair in argv.items() for word in pair]
    major, minor = capability
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(major=major, minor=minor, argv=words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    return done.stderr


def test_below_8_9_it_is_one_sentence(fileset: FileSets, tmp_path: Path) -> None:
    said = refused(fileset, (8, 6), tmp_path)
    assert (
        "fp8-scaled-mm needs compute capability 8.9 or newer, and NVIDIA GeForce RTX 3090 has 8.6; "
        "give fp8-cast, which computes in bf16"
    ) in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_from_8_9_on_upstream_has_its_say(fileset: FileSets, tmp_path: Path) -> None:
    assert "needs compute capability" not in refused(fileset, (8, 9), tmp_path)


def test_without_a_card_and_for_other_policies_nothing_is_refused() -> None:
    assert scaled_mm_refusal("fp8-scaled-mm") is None
    assert scaled_mm_refusal("fp8-cast") is None
