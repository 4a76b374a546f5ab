"""The group `ampere`: fp8-cast below compute capability 8.9, and prequantized fp8 checkpoints."""

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.loader.fuse_loras import apply_loras
from ltx_core.loader.prequantized import folding_scales
from ltx_core.loader.primitives import (
    LoraPathStrengthAndSDOps,
    LoraStateDictWithStrength,
    StateDict,
)
from ltx_core.loader.registry import StateDictRegistry
from ltx_core.loader.sft_loader import SafetensorsModelStateDictLoader
from ltx_core.model.transformer import LTXV_MODEL_COMFY_RENAMING_MAP
from ltx_core.quantization import (
    FP8_PREPARE_MODULE_OPS,
    FP8_TRANSPOSE_SD_OPS,
    TRANSFORMER_LINEAR_DOWNCAST_MAP,
    QuantizationPolicy,
    UpcastWithStochasticRounding,
)
from ltx_core.quantization.fp8_cast import _fused_add_round_launch
from ltx_pipelines.utils.model_ledger import ModelLedger
from safetensors.torch import load_file, save_file

from .conftest import prequantized, save_checkpoint

FP8 = torch.float8_e4m3fn
AMPERE, ADA, HOPPER = (8, 6), (8, 9), (9, 0)
EVERY_CODE = torch.tensor([c for c in range(256) if c & 0x7F != 0x7F], dtype=torch.uint8).view(FP8)
"""Each finite float8_e4m3fn value."""


# --- the kernel below 8.9 ---


@pytest.mark.parametrize(
    ("capability", "handed"),
    [((7, 5), torch.float16), (AMPERE, torch.float16), (ADA, FP8), (HOPPER, FP8)],
)
def test_only_older_cards_get_a_float16_copy(
    capability: tuple[int, int], handed: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the kernel; a recorder takes its place, as a CPU has none to launch."""
    launches: list[tuple[Any, ...]] = []

    class Recorder:
        def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
            return lambda *arguments: launches.append((grid, *arguments))

    triton = types.SimpleNamespace(cdiv=lambda count, size: -(-count // size))
    kernels = types.SimpleNamespace(fused_add_round_kernel=Recorder())
    monkeypatch.setitem(sys.modules, "triton", triton)
    monkeypatch.setitem(sys.modules, "ltx_core.loader.kernels", kernels)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {EVERY_CODE.device: capability}.get)

    delta = torch.zeros(EVERY_CODE.shape, dtype=torch.bfloat16)
    assert _fused_add_round_launch(delta, EVERY_CODE, seed=5) is delta
    ((grid, weight, target, *numbers, _block),) = launches
    assert grid == (1,)
    assert target is delta
    assert numbers == [5, EVERY_CODE.numel(), 7, 3]  # seed, elements, fp8's bias and mantissa
    assert weight.dtype == handed
    assert torch.equal(weight.to(torch.float64), EVERY_CODE.to(torch.float64))


@pytest.fixture(scope="module")
def interpreter() -> None:
    pytest.importorskip("triton", reason="the kernel itself runs in Triton's interpreter")


def interpreted(
    folder: Path, capability: tuple[int, int], weight: torch.Tensor, delta: torch.Tensor, seed: int
) -> torch.Tensor:
    """What the kernel makes of `weight` and `delta` on a card of `capability`, in bf16."""
    save_file({"weight": weight, "delta": delta}, folder / "in.safetensors")
    script = Path(__file__).with_name("interpreted_fuse.py")
    subprocess.run(
        [
            sys.executable,
            script,
            *map(str, capability),
            str(seed),
            folder / "in.safetensors",
            folder / "out.safetensors",
        ],
        check=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )
    fused: torch.Tensor = load_file(folder / "out.safetensors")["fused"]
    return fused


@pytest.mark.usefixtures("interpreter")
def test_older_cards_fuse_to_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weight = EVERY_CODE.repeat(64)[: 254 * 32].reshape(254, 32)
    delta = (torch.randn(weight.shape) * 0.01).to(torch.bfloat16)
    newer = interpreted(tmp_path, HOPPER, weight, delta, seed=0)
    exact = weight.double() + delta.double()
    in_float16 = weight.half() + delta.half()
    step = torch.exp2(in_float16.abs().double().log2().floor().clamp(min=-6) - 3)  # of fp8 there
    bf16_step = torch.exp2(newer.double().abs().log2().floor() - 7)
    # Half a step of dither, what the interpreter cuts off for bf16, float16's rounding of the sum.
    assert ((newer.double() - exact).abs() <= step / 2 + bf16_step + exact.abs() * 2**-10).all()
    assert torch.equal(interpreted(tmp_path, AMPERE, weight, delta, seed=0), newer)
    assert not torch.equal(interpreted(tmp_path, AMPERE, weight, delta, seed=1), newer)


@pytest.mark.parametrize(
    ("capability", "source"), [(86, "*fp16"), (80, "*fp16"), (75, "*fp16"), (89, "*fp8e4nv")]
)
def test_the_kernel_compiles_for(capability: int, source: str) -> None:
    """No GPU is needed to compile for one."""
    assert compiled(capability, source).returncode == 0


def test_the_reason_for_the_patch_still_stands() -> None:
    refused = compiled(86, "*fp8e4nv")
    assert refused.returncode != 0
    assert "fp8e4nv not supported" in refused.stderr


def compiled(capability: int, source: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("triton", reason="compiles the kernel for cards that are not here")
    program = f"""
from ltx_core.loader.kernels import fused_add_round_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
integers = dict.fromkeys(["seed", "n_elements", "EXPONENT_BIAS", "MANTISSA_BITS"], "i32")
signature = {{"x_ptr": {source!r}, "output_ptr": "*bf16", **integers, "BLOCK_SIZE": "constexpr"}}
source = ASTSource(fused_add_round_kernel, signature, constexprs={{"BLOCK_SIZE": 1024}})
assert compile(source, target=GPUTarget("cuda", {capability}, 32)).asm["cubin"]
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


# --- prequantized checkpoints ---


def dequantized(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """{the model's key: float64 value} that a prequantized file means."""
    return {
        key: value.double() * stored.get(f"{key}_scale", torch.tensor(1.0)).double()
        for key, value in stored.items()
        if not key.endswith("_scale")
    }


def is_downcast(key: str) -> bool:
    """Whether fp8-cast stores the tensor in fp8, told by upstream's own map."""
    ((_, value),) = TRANSFORMER_LINEAR_DOWNCAST_MAP.apply_to_key_value(key, torch.zeros(1))
    return bool(value.dtype == FP8)


def ledger(
    checkpoint: Path,
    policy: QuantizationPolicy | None,
    loras: tuple[LoraPathStrengthAndSDOps, ...] = (),
    registry: StateDictRegistry | None = None,
) -> ModelLedger:
    return ModelLedger(
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        checkpoint_path=str(checkpoint),
        loras=loras,
        registry=registry,
        quantization=policy,
    )


def loaded(built: ModelLedger) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = built.transformer().velocity_model.state_dict()
    return state


@pytest.fixture
def stored(tiny_transformer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return prequantized(tiny_transformer)


POLICIES = {
    "fp8-cast": QuantizationPolicy.fp8_cast(),
    "fp8-cast, stochastic": QuantizationPolicy(
        sd_ops=TRANSFORMER_LINEAR_DOWNCAST_MAP, module_ops=(UpcastWithStochasticRounding(),)
    ),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
@pytest.mark.parametrize("registered", [False, True])
def test_scales_are_folded(
    stored: dict[str, torch.Tensor],
    tmp_path: Path,
    policy: QuantizationPolicy,
    registered: bool,
) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    built = ledger(checkpoint, policy, registry=StateDictRegistry() if registered else None)
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
    model = loaded(ledger(checkpoint, QuantizationPolicy.fp8_cast()))
    unfolded = SafetensorsModelStateDictLoader().load(
        str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP
    )

    def error(key: str, value: torch.Tensor) -> float:
        exact = tiny_transformer[key].double()
        return float((value.double() - exact).norm() / exact.norm())

    scaled = [key for key in stored if f"{key}_scale" in stored]
    assert len(scaled) == 34  # as many Linears as a block of LTX-2.3 has
    assert max(error(key, model[key]) for key in scaled) < 0.06
    assert min(error(key, unfolded.sd[key]) for key in scaled) > 100  # what upstream computes with


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
        "transformer_blocks.1.attn1.to_gate_logits.weight",  # scaled, bf16 in the model
        "transformer_blocks.0.attn1.to_q.weight",  # bf16 in the file, fp8 in the model
        "proj_out.weight",  # bf16 in both
    ]
    shapes = {key: value.shape for key, value in stored.items()}
    deltas = lora_for(keys, shapes, tmp_path / "lora.safetensors")
    lora = LoraPathStrengthAndSDOps(
        str(tmp_path / "lora.safetensors"), 0.5, LTXV_LORA_COMFY_RENAMING_MAP
    )
    plain = ledger(checkpoint, QuantizationPolicy.fp8_cast())
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
    folding = folding_scales(
        str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP, TRANSFORMER_LINEAR_DOWNCAST_MAP
    )
    chain = LTXV_MODEL_COMFY_RENAMING_MAP.mapping + folding.mapping
    state = SafetensorsModelStateDictLoader().load(str(checkpoint), type(folding)("chain", chain))
    key = "transformer_blocks.1.ff.net.2.weight"  # not square
    out, into = state.sd[key].shape
    a, b = torch.full((2, into), 0.1), torch.full((out, 2), 0.1)
    stem = key.removesuffix(".weight")
    lora = StateDict(
        {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}, torch.device("cpu"), 0, set()
    )
    fused = apply_loras(state, [LoraStateDictWithStrength(lora, 1.0)]).sd
    assert fused.keys() == state.sd.keys()
    assert not [name for name in fused if name.endswith("_scale")]
    meant = dequantized(stored)[key] + 0.02
    assert (fused[key].double() - meant).norm() / meant.norm() < 0.06


def test_a_bf16_checkpoint_loads_as_it_did(
    tiny_transformer: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path / "bf16.safetensors", tiny_transformer)
    then = TRANSFORMER_LINEAR_DOWNCAST_MAP
    assert folding_scales(str(checkpoint), LTXV_MODEL_COMFY_RENAMING_MAP, then) is then
    model = loaded(ledger(checkpoint, QuantizationPolicy.fp8_cast()))
    for key, value in model.items():
        kept = FP8 if is_downcast(key) else torch.bfloat16
        assert value.dtype == kept
        assert torch.equal(value.double(), tiny_transformer[key].to(kept).double())


def test_fp8_scaled_mm_keeps_its_scales(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Its parts by name, since making the policy needs tensorrt_llm."""
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    policy = QuantizationPolicy(FP8_TRANSPOSE_SD_OPS, (FP8_PREPARE_MODULE_OPS,))
    model = loaded(ledger(checkpoint, policy))
    scales = [key for key in stored if key.endswith("_scale")]
    assert scales
    assert all(torch.equal(model[key], stored[key]) for key in scales)


def test_without_a_policy_nothing_is_folded(
    stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", stored)
    key = "transformer_blocks.1.attn1.to_q.weight"
    assert torch.equal(loaded(ledger(checkpoint, None))[key], stored[key].to(torch.bfloat16))


def test_a_scale_per_row_is_refused(stored: dict[str, torch.Tensor], tmp_path: Path) -> None:
    key = "transformer_blocks.1.attn1.to_q.weight"
    rows = {**stored, f"{key}_scale": torch.ones(stored[key].shape[0], 1)}
    checkpoint = save_checkpoint(tmp_path / "fp8.safetensors", rows)
    with pytest.raises(ValueError, match="only one scale for a whole tensor") as raised:
        ledger(checkpoint, QuantizationPolicy.fp8_cast()).transformer()
    assert f"{key}_scale" in str(raised.value)
    assert str(checkpoint) in str(raised.value)
