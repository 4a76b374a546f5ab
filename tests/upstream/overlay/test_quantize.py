from __future__ import annotations

import bitsandbytes.functional as bnb
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_core.text_encoders.gemma.quantized import pieces
from ltx_core.text_encoders.gemma.quantized.methods import FP4, INT8, NF4, Method
from ltx_core.text_encoders.gemma.quantized.pieces import cast_to

CPU = torch.device("cpu")
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
shapes = st.tuples(st.integers(1, 24), st.sampled_from([64, 96, 129, 256]))


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> None:
    """Pieces so small that a weight of some rows takes several."""
    pieces._CPU_PIECE = 256


def weight_of(shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@given(st.sampled_from([("nf4", NF4), ("fp4", FP4)]), shapes, dtypes)
@settings(deadline=None)
def test_4bit_parts_are_those_of_bitsandbytes_at_once(
    method: tuple[str, Method], shape: tuple[int, int], dtype: torch.dtype
) -> None:
    weight = weight_of(shape, dtype)
    quant_type, ours = method
    parts = ours.quantize(weight, CPU, CPU)
    packed, state = bnb.quantize_4bit(
        weight.bfloat16(), blocksize=64, compress_statistics=True, quant_type=quant_type
    )
    expected = {"weight": packed} | {
        f"weight.{k}": v for k, v in state.as_dict(packed=True).items()
    }
    assert parts.keys() == expected.keys()
    assert all(torch.equal(parts[name], expected[name]) for name in parts)


@given(shapes, dtypes)
@settings(deadline=None)
def test_8bit_parts_are_those_of_bitsandbytes_at_once(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    weight = weight_of(shape, dtype)
    parts = INT8.quantize(weight, CPU, CPU)
    values, scales, _ = bnb.int8_vectorwise_quant(weight.bfloat16().half())
    assert torch.equal(parts["weight"], values)
    assert torch.equal(parts["SCB"], scales)
    assert parts["weight_format"].item() == 0


@given(st.lists(st.integers(0, 9), max_size=4), dtypes, dtypes)
@settings(deadline=None)
def test_a_cast_is_a_copy_of_any_shape(
    shape: list[int], source: torch.dtype, target: torch.dtype
) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(source)
    copy = cast_to(tensor, target, CPU)
    assert copy.shape == tensor.shape
    assert torch.equal(copy, tensor.to(target))
    assert copy.numel() == 0 or copy.data_ptr() != tensor.data_ptr()
