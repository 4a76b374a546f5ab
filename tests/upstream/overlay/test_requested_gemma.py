"""A Gemma root that says how it is to be loaded, through the PromptEncoder that takes a root."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method
from ltx_pipelines.utils.asking_flags import add_gemma_root_flags
from ltx_pipelines.utils.requested_gemma import GemmaRoot

from tests.upstream.overlay.conftest import CPU, methods
from verify.campaigns.gemma_reference import assert_equal, from_pretrained, settings_for

if TYPE_CHECKING:
    from ltx_pipelines.utils.blocks import PromptEncoder


def prompt_encoder(root: str, **keywords: Any) -> PromptEncoder:
    from ltx_pipelines.utils.blocks import PromptEncoder

    return PromptEncoder("unread", root, torch.bfloat16, CPU, **keywords)


# --- the value ---


def asked(root: str) -> tuple[str, Method | None]:
    wanted = GemmaRoot(root)
    return str(wanted), wanted.asked


def test_a_root_keeps_what_was_asked_of_it_wherever_it_goes() -> None:
    root = GemmaRoot("gemma", gemma_8bit=True)
    assert asked("gemma") == ("gemma", None)
    assert asked(root) == ("gemma", INT8)
    assert asked(GemmaRoot(root, gemma_8bit=True)) == ("gemma", INT8)
    assert asked(pickle.loads(pickle.dumps(root))) == ("gemma", INT8)
    assert Path(root) == Path("gemma")


def test_a_root_cannot_be_asked_for_both() -> None:
    with pytest.raises(GemmaFlagsError, match="exclude each other"):
        GemmaRoot(GemmaRoot("gemma", gemma_8bit=True), gemma_4bit=True)


@pytest.mark.parametrize("known", [False, True])
def test_a_parser_puts_the_flags_into_the_root_in_any_order(
    monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    parser = argparse.ArgumentParser()
    parser.add_argument("--gemma-root")
    add_gemma_root_flags(parser)
    for argv in (["--gemma-4bit", "--gemma-root", "g"], ["--gemma-root", "g", "--gemma-4bit"]):
        given = parser.parse_known_args(argv)[0] if known else parser.parse_args(argv)
        assert asked(given.gemma_root) == ("g", NF4)
    assert asked(parser.parse_args(["--gemma-root", "g"]).gemma_root) == ("g", None)


# --- where it is loaded ---


def streaming() -> list[dict[str, Any]]:
    """What makes this base stream the text encoder, in the constructor's keywords."""
    try:
        from ltx_pipelines.utils.types import OffloadMode
    except ImportError:
        return [{}]
    return [{"offload_mode": OffloadMode.CPU}, {"offload_mode": OffloadMode.DISK}]


@methods
@pytest.mark.parametrize("prequantized", [False, True])
def test_where_the_transformer_streams_a_quantized_gemma_is_resident(
    bf16_root: Path, tmp_path: Path, method: Method, prequantized: bool
) -> None:
    root = GemmaRoot(str(bf16_root), **{f"gemma_{method.label}": True})
    if prequantized:
        root = GemmaRoot(str(convert_root(bf16_root, tmp_path / "out", method, CPU).output))
    theirs = from_pretrained(bf16_root, settings_for(method))
    for keywords in streaming():
        prefetch = () if keywords else (2,)  # until 2026-04-23 each call says how many layers ahead
        encoder = prompt_encoder(root, **keywords)
        with torch.inference_mode(), encoder._text_encoder_ctx(*prefetch) as held:
            assert type(held).__name__ == "GemmaTextEncoder"
            assert_equal(held.model, theirs)
        assert all(parameter.is_meta for parameter in held.parameters())


@pytest.mark.revisions(since="2026-05-11")
def test_a_builder_of_ones_own_takes_no_flag(bf16_root: Path) -> None:
    own = prompt_encoder(str(bf16_root))._text_encoder_builder
    assert prompt_encoder(str(bf16_root), text_encoder_builder=own)._text_encoder_builder is own
    with pytest.raises(GemmaFlagsError, match=r"--gemma-8bit cannot be taken here"):
        prompt_encoder(GemmaRoot(str(bf16_root), gemma_8bit=True), text_encoder_builder=own)


def test_a_folder_without_a_gemma_is_named_before_upstream_looks(tmp_path: Path) -> None:
    with pytest.raises(GemmaRootError, match=r"no model\*.safetensors lies under"):
        prompt_encoder(GemmaRoot(str(tmp_path), gemma_4bit=True))


# --- several cards ---


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.revisions(since="2026-07-08")
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("builder", ["gemma_builders.Accelerate", "bp_gemma_builder.BatchParallel"])
def test_builders_for_several_cards_load_an_unquantized_gemma_only(
    bf16_root: Path, tmp_path: Path, builder: str
) -> None:
    import importlib

    import torch.distributed as dist
    from ltx_core.loader.registry import DummyRegistry

    module, _, kind = builder.partition(".")
    make = getattr(
        importlib.import_module(f"ltx_pipelines.multigpu.{module}"), f"{kind}GemmaBuilder"
    )
    groups = [dist.group.WORLD] * (2 if kind == "Accelerate" else 1)
    make(str(bf16_root), *groups, DummyRegistry(), src_rank=0)
    with pytest.raises(GemmaFlagsError, match="--gemma-4bit cannot be taken here: "):
        make(GemmaRoot(str(bf16_root), gemma_4bit=True), *groups, DummyRegistry(), src_rank=0)
    quantized = convert_root(bf16_root, tmp_path / "out", INT8, CPU).output
    with pytest.raises(GemmaRootError, match=r"quantized to 8bit, which .*; give a bf16 Gemma"):
        make(str(quantized), *groups, DummyRegistry(), src_rank=0)


@pytest.mark.revisions(since="2026-07-08")
@pytest.mark.parametrize(
    "script", ["distilled_mgpu", "ti2vid_two_stages_mgpu", "ti2vid_two_stages_hq_mgpu"]
)
def test_scripts_for_several_cards_refuse_with_a_reason(
    bf16_root: Path, tmp_path: Path, script: str
) -> None:
    from safetensors.torch import save_file

    file = str(tmp_path / "checkpoint.safetensors")
    save_file({"nothing": torch.zeros(1)}, file, metadata={"model_version": "2.3.0"})
    distilled = script.startswith("distilled")
    arguments = [
        f"--{'distilled-' if distilled else ''}checkpoint-path",
        file,
        *([] if distilled else ["--distilled-lora", file]),
        *("--spatial-upsampler-path", file, "--gemma-root", str(bf16_root)),
        *("--prompt", "a fox", "--output-path", str(tmp_path / "out.mp4"), "--gemma-4bit"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", f"ltx_pipelines.{script}", *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == GemmaFlagsError.exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{script}.py: error: --gemma-4bit cannot be")
