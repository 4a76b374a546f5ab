"""Every finding has a level, a fact and, where it is not ok, a remedy."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.doctor import Subject, examine
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.finding import Finding, Level
from tests.small_gpu import RTX_3090, write_nvidia_smi
from tests.small_repository import make_repository
from tests.small_wheels import make_environment
from tests.weight_files import (
    RELEASED,
    TINY_GEMMA,
    packed_gemma,
    plain,
    write,
    write_checkpoint,
    write_gemma,
)

BLOCK = "model.diffusion_model.transformer_blocks.0.attn1.to_q"
FLAGS = "packages/ltx-pipelines/src/ltx_pipelines/parked/flags.py"
PROJECTION = "text_embedding_projection.aggregate_embed.weight"


@pytest.fixture
def near(base: Base, published: Path) -> Base:
    """The base, with an upstream that answers at once."""
    return replace(base, url=str(published))


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The PATH holds git and no GPU, until a test puts one into this folder."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin"


def _findings(store: Store, subject: Subject) -> dict[str, Finding]:
    found = {finding.subject: finding for finding in examine(store, subject)}
    for finding in found.values():
        assert finding.fact
        assert (finding.remedy is None) == (finding.level is Level.OK)
    return found


def test_before_anything_is_made_each_step_is_named(copied_store: Store, near: Base) -> None:
    found = _findings(copied_store, Subject(near))
    assert found["python"].level is found["git"].level is Level.OK
    assert found["host memory"].level in {Level.OK, Level.WARNING}
    assert found["gpu"].level is Level.WARNING
    assert found["patches"].remedy == "run `make patch`"
    assert found["environment"].remedy == "run `make install`"


def test_no_git_and_no_network_are_told(
    copied_store: Store, near: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(near, url=str(tmp_path / "gone"))
    assert _findings(copied_store, Subject(gone))["network"].level is Level.WARNING
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _findings(copied_store, Subject(near))["git"].level is Level.FAILURE


@pytest.mark.parametrize(
    ("driver", "tag"), [("580.95.05", "cu130"), ("570.86.15", "cu128"), ("550.54.15", "cu126")]
)
def test_a_cpu_torch_beside_a_card_is_told_with_the_build_to_take(
    copied_store: Store, near: Base, path: Path, tmp_path: Path, driver: str, tag: str
) -> None:
    write_nvidia_smi(path, RTX_3090.replace("580.95.05", driver))
    python = make_environment(tmp_path / "env", near.environment)
    found = _findings(copied_store, Subject(near, python=python))
    assert found["gpu"].level is Level.OK
    assert found["torch build"].level is Level.FAILURE
    assert f"--torch-backend={tag} torch==" in str(found["torch build"].remedy)
    assert "://" not in str(found["torch build"].remedy)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (RTX_3090.replace("580.95.05", "470.256.02"), "too old for CUDA 12"),
        (RTX_3090.replace("8.6", "7.5"), "no bf16"),
        ("Failed to initialize NVML", "nvidia-smi fails"),
    ],
)
def test_a_card_that_can_not_be_used_is_a_failure(
    copied_store: Store, near: Base, path: Path, line: str, words: str
) -> None:
    write_nvidia_smi(path, line)
    found = _findings(copied_store, Subject(near))["gpu"]
    assert found.level is Level.FAILURE
    assert words in found.fact


def test_a_busy_card_and_a_missing_one_are_told(
    copied_store: Store, near: Base, path: Path
) -> None:
    write_nvidia_smi(path, RTX_3090.replace("24100", "9000"))
    assert _findings(copied_store, Subject(near))["gpu"].level is Level.WARNING
    assert "no GPU 3" in _findings(copied_store, Subject(near, gpu=3))["gpu"].fact


def test_versions_that_do_not_go_with_the_base_are_failures(
    copied_store: Store, near: Base, tmp_path: Path
) -> None:
    pins = {**near.environment, "transformers": "5.8.0", "bitsandbytes": "0.45.5"}
    python = make_environment(
        tmp_path / "env", {name: v for name, v in pins.items() if name != "einops"}
    )
    found = _findings(copied_store, Subject(near, python=python))
    assert found["transformers"].fact == "5.8.0; base 1.0.0 needs >=4.52,<5"
    assert found["bitsandbytes"].level is found["einops"].level is Level.FAILURE
    assert found["torch"].level is Level.OK
    assert found["torch at work"].level is Level.FAILURE  # the wheel of a few bytes can't multiply


def test_a_name_is_compared_as_the_package_index_does(
    copied_store: Store, near: Base, tmp_path: Path
) -> None:
    pinned = replace(near, environment={**near.environment, "some_name": "1.0"})
    python = make_environment(tmp_path / "env", pinned.environment)
    assert "some_name" not in _findings(copied_store, Subject(pinned, python=python))
    wrong = replace(pinned, accepts={**near.accepts, "some_name": ">=2"})
    found = _findings(copied_store, Subject(wrong, python=python))["some_name"]
    assert found.fact == "1.0; base 1.0.0 needs >=2"


def test_a_gemma_that_a_flag_mends_is_no_failure_and_one_for_other_bases_is(
    copied_store: Store, near: Base, tmp_path: Path
) -> None:
    newer = {
        "model." + name.replace("language_model.model.", "language_model."): tensor
        for name, tensor in plain(gemma_keys(TINY_GEMMA)).items()
    }
    mended = Subject(near, gemma_root=write_gemma(tmp_path / "newer", newer))
    found = _findings(copied_store, mended)["gemma"]
    assert (found.level, "--gemma-4bit" in str(found.remedy)) == (Level.WARNING, True)
    packed = write(tmp_path / "packed.safetensors", *packed_gemma())
    found = _findings(copied_store, Subject(near, gemma_root=packed))["gemma"]
    assert (found.level, "or base 1.2.0" in str(found.remedy)) == (Level.FAILURE, True)


def test_where_no_flags_fit_the_bases_with_some_are_named(
    tmp_path: Path, published: Path, near: Base, path: Path
) -> None:
    write_nvidia_smi(path, RTX_3090.replace("24576, 24100", "8192, 8000"), link="4, 8")
    store = make_repository(tmp_path / "repository", published, near)
    config = RELEASED["LTX-2 19B"]["config"]
    large = {f"{BLOCK}.weight": ("BF16", (100_000, 100_000))}
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3)), **large}
    checkpoint = write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    found = _findings(store, Subject(near, checkpoint=checkpoint))
    assert found["flags"].fact.startswith("without --vram-budget no flags fit in 7.1 GiB")
    told = found["parked weights"]
    assert told.fact.startswith("--vram-budget auto")
    assert "pass through the card in each step, up to " in told.fact
    assert "s by PCIe 4 x8 (reckoned)" in told.fact
    (checkout_path(store, near) / FLAGS).write_text("")
    flags = _findings(store, Subject(near, checkpoint=checkpoint))["flags"]
    assert flags.level is Level.FAILURE
    assert flags.remedy is not None
    assert "use a card with more memory, or base 1.2.0 with " in flags.remedy
    assert "--offload" in flags.remedy


def test_weights_are_told_with_the_flags_that_fit_the_card(
    tmp_path: Path, published: Path, near: Base, path: Path
) -> None:
    write_nvidia_smi(path, RTX_3090)
    store = make_repository(tmp_path / "repository", published, near)
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    subject = Subject(
        near,
        checkpoint=write_checkpoint(tmp_path / "model.safetensors", tensors, config),
        gemma_root=write_gemma(tmp_path / "gemma"),
    )
    found = _findings(store, subject)
    assert found["patches"].fact.endswith("is patched up to int8")
    assert found["checkpoint"].fact.startswith("LTX-2 19B, bf16")
    assert found["gemma"].fact.startswith("Gemma 3 64 wide, 2 layers, bf16")
    assert found["pair"].level is Level.OK
    assert found["flags"].fact.startswith("no flags needed in 23.0 GiB")
    parked = found["parked weights"].fact
    assert parked.startswith("--vram-budget auto: ") and parked.endswith("better here: no flags")
    (tmp_path / "gemma/tokenizer.model").unlink()
    other = write_gemma(tmp_path / "other", text_config={"hidden_size": 9, "num_hidden_layers": 2})
    assert "tokenizer.model" in _findings(store, subject)["gemma"].fact
    assert _findings(store, replace(subject, gemma_root=other))["pair"].level is Level.FAILURE
    gone = replace(subject, checkpoint=tmp_path / "gone", gemma_root=tmp_path / "gone")
    found = _findings(store, gone)
    assert found["checkpoint"].level is found["gemma"].level is Level.FAILURE
    assert "flags" not in found
    text = {"model_type": "gemma3_text", "hidden_size": 64, "num_hidden_layers": 2}
    other_layouts = replace(
        subject,
        checkpoint=write(tmp_path / "bare.safetensors", tensors),
        gemma_root=write_gemma(tmp_path / "text", plain(["model.norm.weight"]), text),
    )
    found = _findings(store, other_layouts)
    for finding, file in (("checkpoint", "bare.safetensors"), ("gemma", "text")):
        assert found[finding].level is Level.FAILURE
        command = f"`ltx2-patcher run convert -- {tmp_path / file} "
        assert command in str(found[finding].remedy)


def test_bitsandbytes_really_multiplies_here(store: Store, near: Base) -> None:
    python = environment_path(store, near) / "bin/python"
    if not python.exists():
        if not importlib.util.find_spec("bitsandbytes"):
            pytest.skip("no environment with bitsandbytes: run `make install`")
        python = Path(sys.executable)
    found = _findings(store, Subject(near, python=python))
    assert found["4bit at work"].level is Level.OK
    assert found["8bit at work"].level is Level.OK
