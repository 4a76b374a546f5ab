"""The group `ampere` before 2026-05-28: prequantized fp8 checkpoints, LoRAs beside fp8."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.loader.fuse_loras import _prepare_deltas, apply_loras
from ltx_core.loader.prequantized import folding_scales
from ltx_core.loader.primitives import (
    LoraPathStrengthAndSDOps,
    LoraStateDictWithStrength,
    StateDict,
)
from ltx_core.loader.registry import StateDictRegistry
from ltx_core.loader.sft_loader import SafetensorsModelStateDictLoader
from ltx_core.model.transformer import LTXV_MODEL_COMFY_RENAMING_MAP
from safetensors.torch import save_file

from tests.upstream.conftest import DATE
from verify.upstream.process import Pipelines

from .conftest import prequantized, save_checkpoint
from .fp8 import DOWNCAST_MAP, Ledger, in_fp8, ledger

FP8 = torch.float8_e4m3fn


# --- prequantized checkpoints ---


def dequantized(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """{the model's key: float64 value} that a prequantized file means."""
    return {
        key: value.double() * stored.get(f"{key}_scale", torch.tensor(1.0)).double()
        for key, value in stored.items()
        if not key.endswith("_scale")
    }


def is_downcast(key: str) -> bool:
    """Whether the model stores the tensor in fp8, told by upstream's own map."""
    ((_, value),) = DOWNCAST_MAP.apply_to_key_value(key, torch.zeros(1))
    return bool(value.dtype == FP8)


def loaded(built: Ledger) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = built.transformer().velocity_model.state_dict()
    return state


# Gates came with LTX-2.3; before, audio's feed-forward was left out of the map.
SCALED_AND_KEPT = (
    "transformer_blocks.1.audio_ff.net.2.weight"
    if DATE < "2026-02-09"
    else "transformer_blocks.1.attn1.to_gate_logits.weight"
)
"""A weight that is scaled in the file and bf16 in the model."""


@pytest.fixture
def stored(tiny_transformer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return prequantized(tiny_transformer)


@pytest.mark.parametrize("registered", [False, True])
def test_scales_are_folded(
    stored: dict[str, torch.Tensor], tmp_path: Path, registered: bool
) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    registry = StateDictRegistry() if registered else None
    assert_folded(ledger(checkpoint, registry=registry, **in_fp8(checkpoint)), stored)


@pytest.mark.revisions(since="2026-02-09")
def test_scales_are_folded_for_stochastic_rounding_too(
    stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    from ltx_core.quantization import QuantizationPolicy, UpcastWithStochasticRounding

    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    policy = QuantizationPolicy(DOWNCAST_MAP, (UpcastWithStochasticRounding(),))
    assert_folded(ledger(checkpoint, quantization=policy), stored)


def assert_folded(built: Ledger, stored: dict[str, torch.Tensor]) -> None:
    exact = dequantized(stored)
    for model in (loaded(built), loaded(built)):
        assert model.keys() == exact.keys()
        for key, value in model.items():
            # Straight from the exact value to the stored type: rounded once, to nearest.
            kept = FP8 if is_downcast(key) else torch.bfloat16
            assert value.dtype == kept, key
            assert torch.equal(value.double(), exact[key].float().to(kept).double()), key


def test_the_folded_model_is_the_bf16_one_within_fp8(
    tiny_transformer: dict[str, torch.Tensor], stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    model = loaded(ledger(checkpoint, **in_fp8(checkpoint)))
    unfolded = SafetensorsModelStateDictLoader().load(
        str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP
    )

    def error(key: str, value: torch.Tensor) -> float:
        exact = tiny_transformer[key].double()
        return float((value.double() - exact).norm() / exact.norm())

    scaled = [key for key in stored if f"{key}_scale" in stored]
    # As many Linears as a block has; those of six gates came with LTX-2.3.
    assert len(scaled) == (28 if DATE < "2026-02-09" else 34)
    assert max(error(key, model[key]) for key in scaled) < 0.06
    assert min(error(key, unfolded.sd[key]) for key in scaled) > 100  # what upstream computes with


def test_upstream_computes_with_weights_that_lack_their_scales(
    tiny_transformer: dict[str, torch.Tensor],
    stored: dict[str, torch.Tensor],
    upstream: Pipelines,
    patched: Pipelines,
    tmp_path: Path,
) -> None:
    """One file in both, loaded as --quantization fp8-cast asks for; neither ends with an error."""
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    key = "transformer_blocks.1.attn1.to_q.weight"
    exact = float(tiny_transformer[key].double().norm())

    def norm(pipelines: Pipelines) -> float:
        done = pipelines.run("tests.upstream.patches.constructed", ["scale", str(checkpoint), key])
        assert done.code == 0, done.err
        return float(json.loads(done.out))

    assert norm(upstream) > 100 * exact
    assert norm(patched) == pytest.approx(exact, rel=0.06)


def lora_for(keys: list[str], shapes: dict[str, torch.Size], path: Path) -> dict[str, torch.Tensor]:
    """Write a bf16 LoRA of rank 2 on `keys`; return {the model's key: float64 delta}."""
    torch.manual_seed(2)
    on_disk, deltas = {}, {}
    for key in keys:
        out, into = shapes[key]
        a, b = torch.randn(2, into) * 0.1, torch.randn(out, 2) * 0.1
        stem = f"diffusion_model.{key.removesuffix('.weight')}"
        on_disk[f"{stem}.lora_A.weight"] = a = a.to(torch.bfloat16)
        on_disk[f"{stem}.lora_B.weight"] = b = b.to(torch.bfloat16)
        deltas[key] = b.double() @ a.double()
    save_file(on_disk, path)
    return deltas


def test_a_lora_is_fused_into_folded_weights(
    stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    keys = [
        "transformer_blocks.1.attn1.to_q.weight",  # scaled, and fp8 in the model
        SCALED_AND_KEPT,
        "transformer_blocks.0.attn1.to_q.weight",  # bf16 in the file, fp8 in the model
        "proj_out.weight",  # bf16 in both
    ]
    shapes = {key: value.shape for key, value in stored.items()}
    deltas = lora_for(keys, shapes, tmp_path / "lora.safetensors")
    lora = LoraPathStrengthAndSDOps(
        str(tmp_path / "lora.safetensors"), 0.5, LTXV_LORA_COMFY_RENAMING_MAP
    )
    plain = ledger(checkpoint, **in_fp8(checkpoint))
    before, after = loaded(plain), loaded(plain.with_loras((lora,)))
    assert after.keys() == before.keys()
    exact = dequantized(stored)
    for key, value in after.items():
        assert value.dtype == before[key].dtype
        if key not in deltas:
            assert torch.equal(value, before[key]), key
            continue
        meant = exact[key] + 0.5 * deltas[key]
        error = (value.double() - meant).norm() / meant.norm()
        assert error < (0.06 if is_downcast(key) else 0.01), key


def test_apply_loras_sees_no_scale(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Else it would take a weight for a transposed one of fp8-scaled-mm, and scale it again."""
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    folding = folding_scales(str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP, DOWNCAST_MAP)
    chain = LTXV_MODEL_COMFY_RENAMING_MAP.mapping + folding.mapping
    state = SafetensorsModelStateDictLoader().load(str(checkpoint), type(folding)("chain", chain))
    key = "transformer_blocks.1.ff.net.2.weight"  # not square
    out, into = state.sd[key].shape
    a, b = torch.full((2, into), 0.1), torch.full((out, 2), 0.1)
    stem = key.removesuffix(".weight")
    lora = StateDict(
        {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}, torch.device("cpu"), 0, set()
    )
    fused = apply_loras(state, [LoraStateDictWithStrength(lora, 1.0)], dtype=None).sd
    assert fused.keys() == state.sd.keys()
    assert not [name for name in fused if name.endswith("_scale")]
    meant = dequantized(stored)[key] + 0.02
    assert (fused[key].double() - meant).norm() / meant.norm() < 0.06


def test_a_bf16_checkpoint_loads_as_it_did(
    tiny_transformer: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path / "bf16.safetensors", tiny_transformer)
    folding = folding_scales(str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP, DOWNCAST_MAP)
    assert folding is DOWNCAST_MAP
    model = loaded(ledger(checkpoint, **in_fp8(checkpoint)))
    for key, value in model.items():
        kept = FP8 if is_downcast(key) else torch.bfloat16
        assert value.dtype == kept
        assert torch.equal(value.double(), tiny_transformer[key].to(kept).double())


@pytest.mark.revisions(since="2026-02-09")
def test_fp8_scaled_mm_keeps_its_scales(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Its parts by name, since making the policy needs tensorrt_llm."""
    from ltx_core.quantization import (
        FP8_PREPARE_MODULE_OPS,
        FP8_TRANSPOSE_SD_OPS,
        QuantizationPolicy,
    )

    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    policy = QuantizationPolicy(FP8_TRANSPOSE_SD_OPS, (FP8_PREPARE_MODULE_OPS,))
    model = loaded(ledger(checkpoint, quantization=policy))
    scales = [key for key in stored if key.endswith("_scale")]
    assert scales
    assert all(torch.equal(model[key], stored[key]) for key in scales)


def test_unasked_nothing_is_folded(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    key = "transformer_blocks.1.attn1.to_q.weight"
    given = loaded(ledger(checkpoint))[key]  # cast by a ledger, as stored by a DiffusionStage
    assert torch.equal(given.to(torch.bfloat16), stored[key].to(torch.bfloat16))


def test_a_scale_per_row_is_refused(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    key = "transformer_blocks.1.attn1.to_q.weight"
    rows = {**stored, f"{key}_scale": torch.ones(stored[key].shape[0], 1)}
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", rows)
    with pytest.raises(ValueError, match="only one scale for a whole tensor") as raised:
        ledger(checkpoint, **in_fp8(checkpoint)).transformer()
    assert f"{key}_scale" in str(raised.value)
    assert str(checkpoint) in str(raised.value)


# --- LoRAs beside an fp8 transformer ---


def test_loras_are_loaded_on_the_cpu_whatever_the_device(
    tiny_transformer: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The device is "meta" here; a loader that reads all the same writes down what it was asked."""
    asked: dict[str, torch.device] = {}

    class Recording:
        upstreams = SafetensorsModelStateDictLoader()
        metadata = upstreams.metadata

        def load(self, path: list[str], sd_ops: Any, device: torch.device) -> StateDict:
            asked[Path(path[0]).name] = device
            return self.upstreams.load(path, sd_ops, torch.device("cpu"))

    checkpoint = save_checkpoint(tmp_path / "bf16.safetensors", tiny_transformer)
    key = "transformer_blocks.1.attn1.to_q.weight"
    lora_for([key], {key: tiny_transformer[key].shape}, tmp_path / "lora.safetensors")
    builder = replace(ledger(checkpoint).transformer_builder, model_loader=Recording()).lora(
        str(tmp_path / "lora.safetensors"), 1.0, LTXV_LORA_COMFY_RENAMING_MAP
    )
    builder.build(device=torch.device("meta"), dtype=torch.bfloat16)
    assert {name: device.type for name, device in asked.items()} == {
        "bf16.safetensors": "meta",
        "lora.safetensors": "cpu",
    }


def test_a_pair_is_multiplied_where_its_weight_lies(
    tiny_transformer: dict[str, torch.Tensor],
) -> None:
    """Pairs on two devices can't be multiplied at all unless both are moved."""
    key = "transformer_blocks.1.attn1.to_q.weight"
    out, into = tiny_transformer[key].shape
    stem = key.removesuffix(".weight")
    pair = {
        f"{stem}.lora_A.weight": torch.ones(2, into),
        f"{stem}.lora_B.weight": torch.ones((out, 2), device="meta"),
    }
    lora = LoraStateDictWithStrength(StateDict(pair, torch.device("cpu"), 0, set()), 1.0)
    delta = _prepare_deltas([lora], key, torch.bfloat16, torch.device("meta"))
    assert (delta.device.type, delta.dtype) == ("meta", torch.bfloat16)
    assert delta.shape == (out, into)
