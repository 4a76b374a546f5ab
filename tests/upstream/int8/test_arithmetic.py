"""Rows, rotation and product: what they are held to is worked out in float64 or in integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.int8.product import accumulated, product
from ltx_core.int8.rotation import GROUP, hadamard, rotated
from ltx_core.int8.rows import LARGEST, Rows, quantize_rows, values_of

SEEDS = st.integers(0, 2**31 - 1)


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype)


@pytest.mark.parametrize("group", [4, 16, 64, 256, 1024])
def test_the_matrix_is_its_own_inverse_and_sums_alike_in_every_row(group: int) -> None:
    matrix = hadamard(group).to(torch.float64)
    assert torch.equal(matrix, matrix.T)
    assert torch.equal(matrix @ matrix, torch.eye(group, dtype=torch.float64))
    assert torch.equal(matrix.sum(dim=0), torch.ones(group, dtype=torch.float64))
    assert torch.equal(matrix.abs().unique(), torch.tensor([group**-0.5], dtype=torch.float64))


@pytest.mark.parametrize("group", [2, 3, 12, 128])
def test_what_is_no_power_of_four_is_no_group(group: int) -> None:
    with pytest.raises(ValueError, match="4, 16, 64, 256 or 1024"):
        hadamard(group)


@given(SEEDS, st.integers(1, 5), st.integers(1, 4), st.sampled_from([16, 64, GROUP]))
def test_a_rotation_undone_gives_the_values_back(
    seed: int, rows: int, groups: int, group: int
) -> None:
    x = drawn(seed, rows, groups * group)
    back = rotated(rotated(x, group), group)
    assert (back - x).abs().max() <= 2**-20 * x.abs().max()


@given(SEEDS, st.integers(1, 6), st.integers(1, 3), st.sampled_from([None, 64, GROUP]))
def test_a_row_is_within_half_a_step_of_what_it_stands_for(
    seed: int, rows: int, groups: int, group: int | None
) -> None:
    x = drawn(seed, rows, groups * GROUP, dtype=torch.bfloat16)
    held = quantize_rows(x, group=group)
    meant = x.to(torch.float64) if group is None else rotated(x, group).to(torch.float64)
    off = (held.codes.to(torch.float64) * held.scales.to(torch.float64).unsqueeze(-1) - meant).abs()
    assert (off <= held.scales.unsqueeze(-1) * 0.5001).all()
    assert held.codes.abs().amax(dim=-1).eq(LARGEST).all()
    assert values_of(held, group=group).shape == x.shape


@given(SEEDS, st.integers(1, 9), st.integers(1, 9), st.sampled_from([16, 256, 1023, 1024, 4100]))
def test_sums_of_codes_are_exact(seed: int, rows: int, columns: int, terms: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randint(-LARGEST, LARGEST + 1, (rows, terms), generator=generator)
    right = torch.randint(-LARGEST, LARGEST + 1, (columns, terms), generator=generator)
    left[0], right[0] = LARGEST, -LARGEST  # the largest sum there is
    found = accumulated(left.to(torch.int8), right.to(torch.int8))
    assert torch.equal(found.to(torch.int64), left @ right.T)


@given(SEEDS, st.booleans(), st.sampled_from([torch.bfloat16, torch.float16, torch.float32]))
def test_a_product_is_that_of_the_values(seed: int, has_bias: bool, dtype: torch.dtype) -> None:
    x, w = (
        quantize_rows(drawn(seed, 2, 3, 512), group=256),
        quantize_rows(drawn(seed + 1, 8, 512), group=256),
    )
    bias = drawn(seed + 2, 8, dtype=dtype) if has_bias else None
    found = product(x, w, bias, dtype)
    codes = x.codes.to(torch.float64) @ w.codes.to(torch.float64).T
    meant = codes * x.scales.to(torch.float64).unsqueeze(-1) * w.scales.to(torch.float64)
    meant = meant if bias is None else meant + bias.to(torch.float64)
    assert found.dtype is dtype and found.shape == (2, 3, 8)
    step = torch.finfo(dtype).eps if dtype is not torch.float32 else 2**-20
    assert ((found.to(torch.float64) - meant).abs() <= step * (meant.abs() + 1)).all()


def test_rows_of_zeros_and_of_no_numbers() -> None:
    x = torch.ones(4, 512)
    x[0], x[1, 3], x[2, 5] = 0, torch.inf, torch.nan
    weight = quantize_rows(drawn(1, 16, 512), group=GROUP)
    for group in (None, GROUP):
        held = quantize_rows(x, group=group)
        assert held.scales[0] == 0 and held.codes[0].eq(0).all()
        assert not held.scales[1:3].isfinite().any()
        found = product(
            held, weight if group else quantize_rows(drawn(1, 16, 512), group=None), None, x.dtype
        )
        assert found[0].eq(0).all() and found[3].isfinite().all()
        assert not found[1:3].isfinite().any()


def test_gelu_before_rows_is_upstreams() -> None:
    x = drawn(3, 5, 256, dtype=torch.bfloat16)
    after = torch.nn.functional.gelu(x, approximate="tanh")
    fused, apart = quantize_rows(x, group=GROUP, gelu=True), quantize_rows(after, group=GROUP)
    assert torch.equal(fused.codes, apart.codes) and torch.equal(fused.scales, apart.scales)


def test_the_rotation_keeps_outliers_from_costing_the_others() -> None:
    """Of the product's error, relative: with one channel in 400 thirty times as large."""
    x, w = drawn(5, 64, 4096), drawn(6, 256, 4096)
    x[:, torch.randperm(4096, generator=torch.Generator().manual_seed(7))[:10]] *= 30
    meant = x.to(torch.float64) @ w.to(torch.float64).T

    def error(group: int | None) -> float:
        found = product(
            quantize_rows(x, group=group), quantize_rows(w, group=group), None, torch.float32
        )
        return float((found.to(torch.float64) - meant).norm() / meant.norm())

    assert error(GROUP) < 0.02
    assert error(None) > 0.05


def test_rows_keep_their_shape() -> None:
    held = quantize_rows(drawn(8, 2, 7, 256).transpose(0, 1), group=GROUP)
    assert held.codes.shape == (7, 2, 256) and held.scales.shape == (7, 2)
    assert isinstance(held, Rows)
