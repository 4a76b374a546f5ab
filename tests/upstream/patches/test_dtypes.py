"""A transformer in float16, float32 or float8_e5m2 computes in bf16, with LoRAs and fp8-cast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP, LoraPathStrengthAndSDOps
from ltx_core.loader.transformer_dtypes import in_bf16
from ltx_core.model.transformer import LTXV_MODEL_COMFY_RENAMING_MAP
from safetensors.torch import save_file

from .conftest import save_checkpoint
from .fp8 import in_fp8, ledger

Tensors = dict[str, torch.Tensor]
E5M2 = torch.float8_e5m2
DTYPES = (torch.float16, torch.float32, E5M2)
CHANGED = ("transformer_blocks.1.attn1.to_q", "patchify_proj")


def stored_as(dtype: torch.dtype, tensors: Tensors) -> Tensors:
    """As people store one: all in 16 or 32 bits, or the blocks' linear layers in 8."""
    return {
        key: value.to(dtype)
        if dtype != E5M2 or (value.dim() == 2 and key.startswith("transformer_blocks."))
        else value
        for key, value in tensors.items()
    }


def computed(checkpoint: Path, lora: Path | None, **how: Any) -> Tensors:
    built = ledger(checkpoint, **how)
    if lora is not None:
        given = LoraPathStrengthAndSDOps(str(lora), 0.5, LTXV_LORA_COMFY_RENAMING_MAP)
        built = built.with_loras((given,))
    state: Tensors = built.transformer().velocity_model.state_dict()
    return state


@pytest.fixture(scope="module")
def lora(tiny_transformer: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    tensors = {}
    for module in CHANGED:
        out, into = tiny_transformer[f"{module}.weight"].shape
        for half, shape in (("A", (2, into)), ("B", (out, 2))):
            value = (torch.randn(shape) * 0.1).to(torch.bfloat16)
            tensors[f"diffusion_model.{module}.lora_{half}.weight"] = value
    path = tmp_path_factory.mktemp("lora") / "lora.safetensors"
    save_file(tensors, path)
    return path


@pytest.mark.core
@pytest.mark.parametrize("cast", [False, True], ids=["plain", "fp8-cast"])
@pytest.mark.parametrize("fused", [False, True], ids=["alone", "with a LoRA"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_model_is_that_of_the_checkpoint_in_bf16(
    dtype: torch.dtype,
    fused: bool,
    cast: bool,
    tiny_transformer: Tensors,
    lora: Path,
    tmp_path: Path,
) -> None:
    """Bit for bit: each value of the bf16 weights here is one of float16 and float32 too; for e5m2
    the file to compare with holds what e5m2 has left.
    """
    stored = stored_as(dtype, tiny_transformer)
    other = save_checkpoint(tmp_path / "other.safetensors", stored)
    rounded = {key: value.to(torch.bfloat16) for key, value in stored.items()}
    plain = save_checkpoint(tmp_path / "bf16.safetensors", rounded)
    given = lora if fused else None
    ours = computed(other, given, **(in_fp8(other) if cast else {}))
    meant = computed(plain, given, **(in_fp8(plain) if cast else {}))
    assert ours.keys() == meant.keys()
    for key, value in ours.items():
        assert value.dtype == meant[key].dtype, key
        assert torch.equal(value.double(), meant[key].double()), key


def test_a_bf16_checkpoint_and_other_parts_are_read_as_ever(
    tiny_transformer: Tensors, tmp_path: Path
) -> None:
    """Whatever float32 lies in it, and whoever else reads the same file."""
    table = "transformer_blocks.0.scale_shift_table"
    mixed = {**tiny_transformer, table: tiny_transformer[table].float()}
    plain = save_checkpoint(tmp_path / "bf16.safetensors", mixed)
    other = save_checkpoint(tmp_path / "f16.safetensors", stored_as(torch.float16, mixed))
    ops = LTXV_MODEL_COMFY_RENAMING_MAP
    assert in_bf16(ops, str(plain)) is ops
    assert in_bf16(None, str(other)) is None
    connectors = type(ops)("connectors").with_matching(prefix="model.diffusion_model.video_")
    assert in_bf16(connectors, str(other)) is connectors
    named = in_bf16(ops, [str(plain), str(other)])
    assert named is not ops
    assert named.name == ops.name
