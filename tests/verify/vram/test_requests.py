"""What can be told of a request before a model is loaded is told: files of full size, but holes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.models import model_files
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import PatcherError
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi
from tests.small_wheels import make_environment
from tests.weight_files import RELEASED, plain, write_checkpoint
from verify.vram.requests import Prepared, prepared

Ask = Callable[..., Prepared]
FITS = ("--gemma-4bit", "--quantization", "fp8-cast")
USUAL = ("--width", "768", "--height", "512", "--num-frames", "121")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    """Of an environment that has what the base needs, as far as the gate looks."""
    return make_environment(tmp_path_factory.mktemp("env") / "env", base.environment)


@pytest.fixture
def ask(
    store: Store,
    base: Base,
    tree: Path,
    python: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Ask:
    apply_tree(store, base, tree)
    config = RELEASED["LTX-2 19B"]["config"]
    keys = checkpoint_keys(config)
    large = {
        key for key in keys if re.search(r"transformer_blocks.*(to_\w+|net|proj).*weight", key)
    }
    tensors = {**plain(keys), **plain(large, (4096, 3016))}  # 19 billion elements, as the true one
    checkpoint = write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(
        model_files, "mappable_bytes", lambda: None
    )  # this host may be smaller than it
    path = os.environ["PATH"]

    def asked(gpu: str, budget: str, *words: str) -> Prepared:
        folder = write_nvidia_smi(tmp_path / "bin", gpu)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{path}")
        argv = ["--checkpoint-path", str(checkpoint), *words]
        return prepared(tree, "distilled", argv, budget, None, python=python)

    return asked


def test_what_was_measured_to_fit_may_run(ask: Ask) -> None:
    here = ask(RTX_3090, "24GB", *FITS, *USUAL)
    assert (here.model, here.workload.frames) == ("LTX-2 19B", 121)
    assert here.task.gpu is not None
    assert not here.task.stands_in
    assert here.about["machine"] == "NVIDIA GeForce RTX 3090"
    elsewhere = ask(H200, "24GB", *FITS, *USUAL)
    assert elsewhere.task.stands_in
    assert elsewhere.about["machine"] == "NVIDIA H200 held to 24 GB"


@pytest.mark.parametrize(
    ("gpu", "budget", "words", "said", "remedy"),
    [
        (RTX_3090, "24GB", USUAL, "denoising with no flags takes about", "--quantization fp8-cast"),
        (
            RTX_3090,
            "24GB",
            (*FITS, "--width", "1536", "--height", "1024", "--num-frames", "241"),
            "1536x1024 and 241 frames takes about",
            "give --num-frames",
        ),
        (H200, "16GB", (*FITS, *USUAL), "a card of 16GB has 15.6 to use", ""),
        (H200, "200GB", (*FITS, *USUAL), "less than a card of 200GB", "give --budget 140GB"),
    ],
)
def test_what_the_card_can_not_hold_is_refused(
    ask: Ask, gpu: str, budget: str, words: tuple[str, ...], said: str, remedy: str
) -> None:
    with pytest.raises(PatcherError, match=said) as caught:
        ask(gpu, budget, *words)
    assert remedy in caught.value.remedy


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is not None, reason="matplotlib is installed"
)
def test_a_plot_that_can_not_be_drawn_is_refused_before_the_run(
    store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    apply_tree(store, base, tree)
    plot, report = tmp_path / "run.png", tmp_path / "run.json"
    own = ["distilled", "--tree", str(tree), "--plot", str(plot), "--json", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "verify.vram", *own, "--", *USUAL],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "matplotlib is not installed" in done.stderr
    assert "to do: run `make verify` once" in done.stderr
    assert not report.exists()
