"""On several cards a quantized Gemma may be whole on each; spread over them it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method

from tests.upstream.overlay.conftest import CPU, methods
from tests.upstream.overlay.prompt_encoder.conftest import PROMPT, Roots, prompt_encoder

pytestmark = pytest.mark.revisions(since="2026-08-11")
SCRIPTS = ["distilled_mgpu", "ti2vid_two_stages_mgpu", "ti2vid_two_stages_hq_mgpu"]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process."""
    import torch.distributed as dist

    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
@methods
def test_a_replica_a_card_may_be_quantized(roots: Roots, method: Method) -> None:
    import torch.distributed as dist
    from ltx_core.loader.registry import ModelRegistry
    from ltx_pipelines.multigpu.bp_gemma_builder import BatchParallelGemmaBuilder

    root, _ = roots("4")
    flags = {f"gemma_{method.label}": True}
    builder = BatchParallelGemmaBuilder(
        str(root), dist.group.WORLD, ModelRegistry(), src_rank=0, **flags
    )
    with torch.inference_mode():
        ((states, _),) = builder.build(device=CPU).encode([PROMPT])
        ((expected, _),) = prompt_encoder(root, method)._build_text_encoder().encode([PROMPT])
    assert all(torch.equal(*pair) for pair in zip(states, expected, strict=True))


@pytest.mark.usefixtures("alone")
def test_a_gemma_spread_over_cards_is_refused_quantized(roots: Roots, tmp_path: Path) -> None:
    from ltx_core.loader.registry import ModelRegistry
    from ltx_pipelines.multigpu.gemma_builders import AccelerateGemmaBuilder

    root, _ = roots("4")
    AccelerateGemmaBuilder(str(root), None, None, ModelRegistry(), src_rank=0)
    quantized = convert_root(root, tmp_path / "out", INT8, CPU).output
    with pytest.raises(GemmaRootError, match=r"quantized to 8bit, which .*; give a bf16 Gemma"):
        AccelerateGemmaBuilder(str(quantized), None, None, ModelRegistry(), src_rank=0)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("quantized", ["--gemma-4bit", "root"])
def test_scripts_for_several_cards_refuse_with_a_reason(
    roots: Roots, tmp_path: Path, script: str, quantized: str
) -> None:
    from safetensors.torch import save_file

    root, _ = roots("3")
    checkpoint = tmp_path / "checkpoint.safetensors"
    save_file({"x": torch.zeros(1)}, checkpoint, metadata={"model_version": "2.3.0"})
    flags = [quantized]
    if quantized == "root":
        root, flags = convert_root(root, tmp_path / "out", NF4, CPU).output, []
    arguments = ["--gemma-root", str(root), "--prompt", "a fox", "--output-path", "out.mp4"]
    arguments += ["--spatial-upsampler-path", str(checkpoint), *flags]
    if script == "distilled_mgpu":
        arguments += ["--distilled-checkpoint-path", str(checkpoint)]
    else:
        arguments += ["--checkpoint-path", str(checkpoint), "--distilled-lora", str(checkpoint)]
    done = subprocess.run(
        [sys.executable, "-m", f"ltx_pipelines.{script}", *arguments],
        env=dict(os.environ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    refusal = GemmaRootError if quantized == "root" else GemmaFlagsError
    assert (done.returncode, "Traceback" in done.stderr) == (refusal.exit_code, False)
    assert "multi-GPU runs spread one unquantized Gemma over the cards" in last
