"""A LoRA of any layout becomes upstream's, with its alphas counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.weight_files import UnreadableFile, WeightFileError
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.lora_conversion import convert_lora, is_lora_file
from ltx_core.weight_files.plan import Target
from safetensors.torch import load_file, save_file

from tests.upstream.weight_files import made_layers as made
from tests.upstream.weight_files.conftest import Tensors

pytestmark = pytest.mark.core

RANK = 4
MODULES = {
    "transformer_blocks.1.attn1.to_out.0": (32, 64),
    "transformer_blocks.0.audio_ff.net.0.proj": (128, 32),
    "av_ca_a2v_gate_adaln_single.linear": (64, 64),
    "patchify_proj": (64, 128),
}
DIFFUSERS = {
    "av_ca_a2v_gate_adaln_single.linear": "av_cross_attn_video_a2v_gate.linear",
    "patchify_proj": "proj_in",
}


def pairs(dtype: torch.dtype = torch.bfloat16) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """A and B of each module."""
    torch.manual_seed(3)
    return {
        module: (torch.randn(RANK, k).to(dtype), torch.randn(n, RANK).to(dtype))
        for module, (n, k) in MODULES.items()
    }


def named(
    pattern: str, a: str, b: str, names: dict[str, str] | None = None, kohya: bool = False
) -> Tensors:
    tensors = {}
    for module, (down, up) in pairs().items():
        name = (names or {}).get(module, module)
        name = pattern.format(name.replace(".", "_") if kohya else name)
        tensors.update({f"{name}.{a}": down, f"{name}.{b}": up})
    return tensors


LAYOUTS = {
    "upstream": named("diffusion_model.{}", "lora_A.weight", "lora_B.weight"),
    "peft": named("base_model.model.{}", "lora_A.default.weight", "lora_B.default.weight"),
    "diffusers": named("transformer.{}", "lora_A.weight", "lora_B.weight", DIFFUSERS),
    "kohya": named("lora_unet_{}", "lora_down.weight", "lora_up.weight", kohya=True),
    "older": named("{}", "lora.down.weight", "lora.up.weight"),
}


def converted(tmp_path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Tensors:
    save_file(tensors, tmp_path / "in.safetensors", metadata)
    assert is_lora_file(tmp_path / "in.safetensors")
    done = convert_lora([tmp_path / "in.safetensors"], tmp_path / "out.safetensors", Target.BF16)
    assert done.modules == len(MODULES)
    read: Tensors = load_file(done.output)
    return read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_upstreams(tmp_path: Path, layout: str) -> None:
    read = converted(tmp_path, LAYOUTS[layout], {"reference_downscale_factor": "2"})
    keys = {LTXV_LORA_COMFY_RENAMING_MAP.apply_to_key(name): name for name in read}
    for module, (a, b) in pairs().items():
        assert torch.equal(read[keys.pop(f"{module}.lora_A.weight")], a)
        assert torch.equal(read[keys.pop(f"{module}.lora_B.weight")], b)
    assert keys == {}
    metadata = read_header(tmp_path / "out.safetensors").metadata
    assert metadata == {"format": "pt", "reference_downscale_factor": "2"}


@pytest.mark.parametrize("alpha", [1.0, 3.0, 4.0, 100.0])
def test_an_alpha_counts_in_b(tmp_path: Path, alpha: float) -> None:
    tensors = dict(LAYOUTS["kohya"])
    for name in LAYOUTS["kohya"]:
        tensors[name.partition(".")[0] + ".alpha"] = torch.tensor(alpha)
    read = converted(tmp_path, tensors)
    for module, (a, b) in pairs().items():
        assert torch.equal(read[f"diffusion_model.{module}.lora_A.weight"], a)
        exact = (b.double() * alpha / RANK).numpy()
        made.assert_rounded(read[f"diffusion_model.{module}.lora_B.weight"], exact, torch.bfloat16)


def test_factors_in_any_layout_are_read(tmp_path: Path) -> None:
    a, b = made.fp8_scaled(RANK, 64, 1), made.fp8_scaled(32, RANK, 2, (32,))
    module = "diffusion_model.transformer_blocks.0.attn1.to_q"
    tensors = {**a.named(f"{module}.lora_A"), **b.named(f"{module}.lora_B")}
    save_file(tensors, tmp_path / "in.safetensors")
    convert_lora([tmp_path / "in.safetensors"], tmp_path / "out.safetensors", Target.BF16)
    read = load_file(tmp_path / "out.safetensors")
    for name, layer in (("A", a), ("B", b)):
        expected = torch.from_numpy(layer.values).float().bfloat16()
        assert torch.equal(read[f"{module}.lora_{name}.weight"], expected)


def refusals() -> dict[str, tuple[Tensors, Target, str]]:
    upstream = LAYOUTS["upstream"]
    name = next(iter(upstream))
    module = name.removesuffix(".lora_A.weight")
    foreign = {
        "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.zeros(4, 8),
        "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.zeros(8, 4),
    }
    return {
        "another model": (foreign, Target.BF16, "changes no layer of an LTX-2 transformer"),
        "one factor": (
            {n: t for n, t in upstream.items() if n != name},
            Target.BF16,
            "is no pair that can be multiplied",
        ),
        "other ranks": (
            {**upstream, name: torch.zeros(5, 64)},
            Target.BF16,
            "is no pair that can be multiplied",
        ),
        "alpha of many": (
            {**upstream, f"{module}.alpha": torch.ones(3)},
            Target.BF16,
            "the alpha of .* is no number",
        ),
        "infinite alpha": (
            {**upstream, f"{module}.alpha": torch.tensor(torch.inf)},
            Target.BF16,
            "the alpha of .* is no number",
        ),
        "DoRA": (
            {**upstream, f"{module}.dora_scale": torch.ones(32)},
            Target.BF16,
            "is a DoRA, and upstream reads plain LoRAs alone",
        ),
        "LoKr": (
            {"lycoris_transformer_blocks_0_attn1_to_q.lokr_w1": torch.ones(2, 2)},
            Target.BF16,
            "is a LoKr",
        ),
        "int8": (upstream, Target.INT8, "is a LoRA, which is written in bf16"),
    }


@pytest.mark.parametrize("case", refusals())
def test_what_cannot_be_upstreams_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    tensors, target, said = refusals()[case]
    save_file(tensors, tmp_path / "in.safetensors")
    assert is_lora_file(tmp_path / "in.safetensors")
    with pytest.raises(WeightFileError, match=said) as raised:
        convert_lora([tmp_path / "in.safetensors"], tmp_path / "out.safetensors", target)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_what_changes_no_layer_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connector = "diffusion_model.video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q"
    more = {f"{connector}.lora_A.weight": torch.zeros(4, 8)}
    converted(tmp_path, {**LAYOUTS["upstream"], **more})
    assert "left out, changing nothing of the transformer: diffusion_model" in caplog.text


def test_loras_come_one_at_a_time_and_models_are_none(tmp_path: Path) -> None:
    with pytest.raises(WeightFileError, match="a LoRA is converted by itself"):
        convert_lora([tmp_path / "a", tmp_path / "b"], tmp_path / "c.safetensors", Target.BF16)
    save_file(
        {"transformer_blocks.0.attn1.to_q.weight": torch.zeros(2, 2)}, tmp_path / "m.safetensors"
    )
    assert not is_lora_file(tmp_path / "m.safetensors")
    assert not is_lora_file(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    with pytest.raises(UnreadableFile):
        is_lora_file(tmp_path / "broken.safetensors")
