"""What upstream does by a GPU's architecture, at Ampere's 8.6, told without such a GPU."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.trees import ROOT

AMPERE, ADA = 86, 89
_TELLING = re.compile(
    r"get_device_capability|get_device_properties|flash_attn|xformers|sdpa_kernel|import triton"
    r"|scaled_mm\b|ltx_kernels|nvfp4|torch\.compile\(|natten|tensorrt_llm|blackwell"
)


def _compiled(kernel: Any, types: Mapping[str, str], constants: Mapping[str, int], sm: int) -> int:
    """The bytes of shared memory that a Triton kernel takes, compiled for `sm`; no GPU is needed.

    Arguments that `types` does not name are whole numbers.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {
        name: "constexpr" if name in constants else types.get(name, "i32")
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=dict(constants))
    shared: int = triton.compile(source, target=GPUTarget("cuda", sm, 32)).metadata.shared
    return shared


SHARED_BYTES = 99 << 10
"""What a block of threads may take at 8.6 (CUDA C++ programming guide, compute capabilities)."""


def test_the_fuse_kernel_compiles_for_ampere_from_float16_alone() -> None:
    """What group `ampere` hands it there; the fp8 that newer cards get is the control."""
    from ltx_core.loader.kernels import fused_add_round_kernel
    from triton.compiler.errors import CompilationError

    def shared(weight: str, sm: int) -> int:
        types = {"x_ptr": weight, "output_ptr": "*bf16"}
        return _compiled(fused_add_round_kernel, types, {"BLOCK_SIZE": 1024}, sm)

    assert shared("*fp16", AMPERE) <= SHARED_BYTES
    assert shared("*fp8e4nv", ADA) <= SHARED_BYTES
    with pytest.raises(CompilationError, match="fp8e4nv not supported"):
        shared("*fp8e4nv", AMPERE)


@pytest.mark.revisions(since="2026-08-11")
def test_the_kernels_that_decode_ltx_2_5_compile_for_ampere() -> None:
    """Those that take the place of natten, which `make install` does not bring."""
    from ltx_core.model.video_vae.transformer import swiglu
    from ltx_core.model.video_vae.transformer.fallback_na.triton_na import _na3d_kernel

    tiles = {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32}
    window = {"kt": 11, "kh": 11, "kw": 11, "causal_t": 0, "causal_h": 0, "causal_w": 0}
    heads = {"hd": 64, "hd_pad": 64, "block_q": 16, "block_k": 32, "is_fp32": 0}
    kernels: list[tuple[Any, dict[str, int]]] = [
        (swiglu._fused_gate_up_swiglu_kernel, tiles),
        (swiglu._fused_up_mul_kernel, tiles),
        (_na3d_kernel, {**window, **heads}),
    ]
    for kernel, constants in kernels:
        types = {name: "*bf16" for name in kernel.arg_names if name.endswith("_ptr")}
        assert _compiled(kernel, {**types, "scale": "fp32"}, constants, AMPERE) <= SHARED_BYTES


@pytest.mark.revisions(since="2026-05-28")
@pytest.mark.parametrize(
    ("capability", "chosen"),
    [((8, 6), "PytorchAttention"), ((8, 9), "PytorchAttention"), ((9, 0), "FlashAttention3")],
)
def test_attention_is_pytorchs_own_on_ampere(
    capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where newer cards' kernels are installed; Hopper, which takes them, is the control."""
    from ltx_core.model.transformer import attention

    monkeypatch.setattr(attention, "flash_attn_interface", SimpleNamespace())
    monkeypatch.setattr(attention, "flash_attn_4_func", SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device=None: capability)
    assert type(attention._select_primary_attention()).__name__ == chosen
    masked = attention._select_masked_attention()
    assert [backend.name for backend in masked._priority] == [
        "CUDNN_ATTENTION",
        "FLASH_ATTENTION",
        "EFFICIENT_ATTENTION",
        "MATH",
    ]


@pytest.mark.parametrize(
    "base",
    [
        pytest.param("1.0.0", marks=pytest.mark.revisions(since="2026-03-05", before="2026-03-30")),
        pytest.param("1.2.0", marks=pytest.mark.revisions(since="2026-08-11")),
    ],
)
def test_each_file_with_an_architecture_in_it_is_in_the_list(base: str) -> None:
    """docs/ampere.md tells of each what it does at 8.6."""
    sections = (ROOT / "docs/ampere.md").read_text("utf-8").split("\n## ")
    (told,) = (text for text in sections if text.startswith(f"Base {base}\n"))
    entries = tuple(re.findall(r"`(ltx_[^`:]+)", told))
    for package in ("ltx_core", "ltx_pipelines"):
        found = importlib.util.find_spec(package)
        assert found is not None and found.origin is not None
        folder = Path(found.origin).parent
        names = [
            f"{package}/{path.relative_to(folder)}"
            for path in sorted(folder.rglob("*.py"))
            if _TELLING.search(path.read_text("utf-8"))
        ]
        assert [name for name in names if not name.startswith(entries)] == []
