"""The kernels give what the plain torch beside them gives; they run in Triton's interpreter here.

Whether an accumulator is exact shows in float32 with scales of 1: below 2^24 each whole number is
itself there, and beyond it both round the same integer.
"""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ltx_core.int8.product import accumulated, product
from ltx_core.int8.rows import Rows, quantize_rows
from ltx_core.int8.tiles import Table

from tests.upstream.int8.interpreted import (
    BULK,
    SMALL,
    Interpreter,
    interpreter,
    multiplied,
    rows_of,
)

pytestmark = pytest.mark.core
pytest.importorskip("triton", reason="the kernels run in Triton's interpreter")

FUZZED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
GROUPS = (4, 16, 64, 256, 1024)


@pytest.fixture(scope="module")
def card() -> Iterator[Interpreter]:
    with interpreter() as call:
        yield call


def codes(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(-127, 128, shape, generator=random, dtype=torch.int8)


def values(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random).to(dtype)


@FUZZED
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 6).map(lambda n: 16 * n),
    terms=st.integers(1, 40).map(lambda n: 16 * n),
    table=st.sampled_from([SMALL, BULK]),
    seed=st.integers(0, 99),
)
def test_an_accumulator_is_exact(
    card: Interpreter, rows: int, columns: int, terms: int, table: Table, seed: int
) -> None:
    left, right = codes((rows, terms), seed), codes((columns, terms), seed + 1)
    ones = Rows(left, torch.ones(rows)), Rows(right, torch.ones(columns))
    assert terms * 127**2 < 2**24
    out = card(multiplied, *ones, None, torch.float32, table)
    assert torch.equal(out, accumulated(left, right).to(torch.float32))


@pytest.mark.parametrize("table", [SMALL, BULK])
def test_rows_of_more_blocks_than_a_band_are_all_made(card: Interpreter, table: Table) -> None:
    left, right = codes((300, 64), 0), codes((48, 64), 1)
    ones = Rows(left, torch.ones(300)), Rows(right, torch.ones(48))
    out = card(multiplied, *ones, None, torch.float32, table)
    assert torch.equal(out, accumulated(left, right).to(torch.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_accumulator_holds_the_widest_sum(card: Interpreter, sign: int) -> None:
    left = torch.full((3, 16384), 127, dtype=torch.int8)
    right = torch.full((32, 16384), sign * 127, dtype=torch.int8)
    right[::2] = codes((16, 16384), 0)
    out = card(
        multiplied, Rows(left, torch.ones(3)), Rows(right, torch.ones(32)), None, torch.float32
    )
    assert torch.equal(out, accumulated(left, right).to(torch.float32))
    assert int(accumulated(left, right).abs().max()) == 127 * 127 * 16384 < 2**31


@FUZZED
@given(
    shape=st.sampled_from([(1, 1), (5,), (2, 17), (1, 33)]),
    terms=st.sampled_from([16, 64, 80, 256]),
    biased=st.booleans(),
    dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    seed=st.integers(0, 99),
)
def test_a_product_is_scaled_and_rounded_once(
    card: Interpreter,
    shape: tuple[int, ...],
    terms: int,
    biased: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    rows = quantize_rows(values((*shape, terms), seed), group=None)
    weight = quantize_rows(values((48, terms), seed + 1) * 0.03, group=None)
    bias = values((48,), seed + 2, torch.bfloat16) if biased else None
    out = card(multiplied, rows, weight, bias, dtype)
    wanted = product(rows, weight, bias, dtype)
    assert out.shape == wanted.shape == (*shape, 48)
    assert out.dtype == dtype
    # One step of the dtype; where the bias takes most of it away, one of what it was taken from.
    whole = product(rows, weight, None, torch.float32).abs().double()
    step = torch.exp2(torch.maximum(wanted.double().abs(), whole).log2().floor().clamp(min=-14))
    assert ((out.double() - wanted.double()).abs() <= step * torch.finfo(dtype).eps).all()


def test_what_is_not_finite_stays_so(card: Interpreter) -> None:
    given_rows = values((4, 64), 0)
    given_rows[1, 3], given_rows[2, 60] = float("inf"), float("nan")
    rows = quantize_rows(given_rows, group=16)
    weight = quantize_rows(values((16, 64), 1), group=16)
    out = card(multiplied, rows, weight, None, torch.float32)
    wanted = product(rows, weight, None, torch.float32)
    assert torch.equal(out.isfinite(), wanted.isfinite())
    assert out.isfinite().all(dim=1).tolist() == [True, False, False, True]


ROWS = {
    "rows": st.integers(1, 5),
    "step": st.sampled_from([1, 2, 3]),
    "odd": st.sampled_from(["", "zero", "inf", "-inf", "nan", "tiny", "huge"]),
    "gelu": st.booleans(),
    "seed": st.integers(0, 99),
}


def rows_with(
    shape: tuple[int, ...], odd: str, seed: int, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Rows, the first of them out of the ordinary."""
    made = values(shape, seed)
    first = made.view(-1, shape[-1])[0]
    if odd == "zero":
        first.zero_()
    elif odd in {"tiny", "huge"}:
        first.mul_(1e-40 if odd == "tiny" else 1e37)
    elif odd:
        first[seed % shape[-1]] = float(odd)
    return made.to(dtype)


@FUZZED
@given(width=st.integers(1, 40).map(lambda n: 8 * n), **ROWS)
@example(rows=2, width=104, step=1, odd="", gelu=False, seed=62)  # 127 / x is not 127 * (1 / x)
def test_rows_that_are_not_rotated_are_equal(
    card: Interpreter, rows: int, width: int, step: int, odd: str, gelu: bool, seed: int
) -> None:
    given_rows = rows_with((rows * step, width), odd, seed)
    made = card(rows_of, given_rows, step=step, group=None, gelu=False)
    wanted = quantize_rows(given_rows[::step], group=None)
    assert torch.equal(made.codes, wanted.codes)
    assert torch.allclose(made.scales, wanted.scales, rtol=0, atol=0, equal_nan=True)
    # GELU goes through another exp, so that a value on the edge of two codes may take the other.
    made = card(rows_of, given_rows, step=step, group=None, gelu=True)
    wanted = quantize_rows(given_rows[::step], group=None, gelu=True)
    assert_alike(made, wanted)


@FUZZED
@given(group=st.sampled_from(GROUPS), groups=st.integers(1, 5), **ROWS)
def test_rotated_rows_are_within_one_code(
    card: Interpreter,
    group: int,
    groups: int,
    rows: int,
    step: int,
    odd: str,
    gelu: bool,
    seed: int,
) -> None:
    width = max(group * groups, 8) // 8 * 8
    given_rows = rows_with((1, rows * step, width), odd, seed)
    made = card(rows_of, given_rows, step=step, group=group, gelu=gelu)
    assert_alike(made, quantize_rows(given_rows[:, ::step], group=group, gelu=gelu))


@FUZZED
@given(
    group=st.sampled_from(GROUPS),
    groups=st.integers(1, 5),
    dtype=st.sampled_from([torch.bfloat16, torch.float16]),
    odd=st.sampled_from(["", "zero", "inf", "nan", "huge"]),
    seed=st.integers(0, 99),
)
def test_rows_of_half_the_bytes_are_rotated_as_well(
    card: Interpreter, group: int, groups: int, dtype: torch.dtype, odd: str, seed: int
) -> None:
    width = max(group * groups, 8) // 8 * 8
    given_rows = rows_with((2, width), odd, seed, dtype)
    made = card(rows_of, given_rows, step=1, group=group, gelu=False)
    assert_alike(made, quantize_rows(given_rows, group=group))


@pytest.mark.parametrize("width", [2048, 4096, 8192, 16384])
def test_each_width_of_the_blocks_is_rotated_right(card: Interpreter, width: int) -> None:
    given_rows = values((2, width), width, torch.bfloat16)
    made = card(rows_of, given_rows, step=1, group=256, gelu=False)
    assert_alike(made, quantize_rows(given_rows, group=256))


def assert_alike(made: Rows, wanted: Rows) -> None:
    """Codes differ by one at most, and seldom: by the order in which a rotation adds."""
    finite = wanted.scales.isfinite()
    assert torch.equal(made.scales.isfinite(), finite)
    assert made.codes.shape == wanted.codes.shape
    assert made.scales.shape == wanted.scales.shape
    normal = finite & (wanted.scales > 1e-30)
    rel = ((made.scales - wanted.scales).abs() / wanted.scales)[normal]
    assert (rel < 1e-5).all()
    apart = (made.codes.int() - wanted.codes.int()).abs()
    assert (apart[normal] <= 1).all()
    assert apart[normal].count_nonzero() <= 1 + apart[normal].numel() // 100
    assert not made.codes[~finite].any()
    assert not made.codes[wanted.scales == 0].any()


@pytest.mark.parametrize(
    ("shape", "group", "words"),
    [((2, 12), None, "12 values"), ((2, 96), 64, "multiple of 8 and of 64")],
)
def test_rows_that_the_kernel_can_not_take_are_named(
    card: Interpreter, shape: tuple[int, int], group: int | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        card(rows_of, values(shape, 0), step=1, group=group, gelu=False)


def test_a_weight_that_the_kernel_can_not_take_is_named(card: Interpreter) -> None:
    rows = Rows(codes((2, 32), 0), torch.ones(2))
    odd = Rows(codes((20, 32), 1), torch.ones(20))
    with pytest.raises(ValueError, match=r"\(20, 32\).* multiples of 16"):
        card(multiplied, rows, odd, None, torch.float32)
    gaps = Rows(codes((2, 64), 0)[:, ::2], torch.ones(2))
    with pytest.raises(ValueError, match="without gaps"):
        card(multiplied, gaps, Rows(codes((16, 32), 1), torch.ones(16)), None, torch.float32)


def test_no_rows_make_no_product(card: Interpreter) -> None:
    rows = card(rows_of, torch.empty(1, 0, 64), step=1, group=64, gelu=False)
    assert (rows.codes.shape, rows.scales.shape) == ((1, 0, 64), (1, 0))
    weight = Rows(codes((16, 64), 1), torch.ones(16))
    assert card(multiplied, rows, weight, None, torch.bfloat16).shape == (1, 0, 16)
