"""The group `ampere` on every base: fp8 weights fused below compute capability 8.9."""

import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from verify.campaigns.fp8_fuse import launch

FP8 = torch.float8_e4m3fn
Launch = tuple[tuple[int, int], int]
"""The compute capability that it is made for, and its seed."""
AMPERE, ADA, HOPPER = (8, 6), (8, 9), (9, 0)
EVERY_CODE = torch.tensor([c for c in range(256) if c & 0x7F != 0x7F], dtype=torch.uint8).view(FP8)
"""Each finite float8_e4m3fn value."""


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
    assert launch(delta, EVERY_CODE, seed=5) is delta
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
    folder: Path, weight: torch.Tensor, delta: torch.Tensor, launches: Sequence[Launch]
) -> list[torch.Tensor]:
    """What the kernel makes of `weight` and `delta` at each launch, in bf16."""
    save_file({"weight": weight, "delta": delta}, folder / "in.safetensors")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.upstream.patches.interpreted_fuse",
            folder / "in.safetensors",
            folder / "out.safetensors",
            *(f"{major}.{minor}.{seed}" for (major, minor), seed in launches),
        ],
        check=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )
    fused = load_file(folder / "out.safetensors")
    return [fused[str(at)] for at in range(len(launches))]


@pytest.mark.usefixtures("interpreter")
def test_older_cards_fuse_to_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weight = EVERY_CODE.repeat(64)[: 254 * 32].reshape(254, 32)
    delta = (torch.randn(weight.shape) * 0.01).to(torch.bfloat16)
    launches = [(HOPPER, 0), (AMPERE, 0), (AMPERE, 1)]
    newer, older, other_seed = interpreted(tmp_path, weight, delta, launches)
    exact = weight.double() + delta.double()
    in_float16 = weight.half() + delta.half()
    step = torch.exp2(in_float16.abs().double().log2().floor().clamp(min=-6) - 3)  # of fp8 there
    bf16_step = torch.exp2(newer.double().abs().log2().floor() - 7)
    # Half a step of dither, what the interpreter cuts off for bf16, float16's rounding of the sum.
    assert ((newer.double() - exact).abs() <= step / 2 + bf16_step + exact.abs() * 2**-10).all()
    assert torch.equal(older, newer)
    assert not torch.equal(other_seed, newer)


@pytest.mark.parametrize(
    ("capability", "source"), [(86, "*fp16"), (80, "*fp16"), (75, "*fp16"), (89, "*fp8e4nv")]
)
def test_the_kernel_compiles_for(capability: int, source: str) -> None:
    """No GPU is needed to compile for one."""
    assert compiled_for(capability, source)


def test_the_reason_for_the_patch_still_stands() -> None:
    with pytest.raises(Exception, match="fp8e4nv not supported"):
        compiled_for(86, "*fp8e4nv")


def compiled_for(capability: int, source: str) -> bytes:
    """The kernel for a card of that capability, with weights of type `source`."""
    pytest.importorskip("triton", reason="compiles the kernel for cards that are not here")
    from ltx_core.loader.kernels import fused_add_round_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compiled

    integers = dict.fromkeys(["seed", "n_elements", "EXPONENT_BIAS", "MANTISSA_BITS"], "i32")
    signature = {"x_ptr": source, "output_ptr": "*bf16", **integers, "BLOCK_SIZE": "constexpr"}
    kernel = ASTSource(fused_add_round_kernel, signature, constexprs={"BLOCK_SIZE": 1024})
    cubin: bytes = compiled(kernel, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
    return cubin
