"""Rows and products on a card, in Triton. What they must give is in `rows` and `product`.

A program of `rows_kernel` has one row in its registers from its one read to its one write, so that the largest
magnitude of the row is known before the first code is. It rotates by sums instead of a product with the matrix:
H4 is J/2 - P, with J all ones and P the reversal, so a rotation of 4^n channels is n times "half the sum of four less
each of them", reversed as a whole. Products with the matrix are 512 operations a channel, and a down projection has
16,384 channels: on an RTX 3090 half the time of the int8 product that they prepare. The sums are 7.
"""

import triton
import triton.language as tl

_ROUNDING = tl.constexpr(12582912.0)
"""1.5 * 2^23. Added to what is below 2^22 it leaves that rounded to even, as the low bits of a float32."""
_LARGEST = tl.constexpr(127.0)
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)
"""All bits of a float32 but its sign. As integers, magnitudes are in order, and what is no number is the largest."""


@triton.jit
def _gelu(x):
    """Return x * (1 + tanh(u)) / 2 as x * sigmoid(2 u), which keeps its digits where x is far below zero."""
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit
def _turned(x, COUNT: tl.constexpr, STRIDE: tl.constexpr):
    """Return `x` with half the sum of every four that are STRIDE apart, less each of them."""
    fours = tl.reshape(x, (COUNT // (4 * STRIDE), 4, STRIDE))
    return 0.5 * tl.sum(fours, axis=1, keep_dims=True) - fours


@triton.jit
def _rotated(x, COUNT: tl.constexpr, GROUP: tl.constexpr):
    """Return (COUNT // 8, 8) rotated; what was given is reversed within its group, but for the order of each eight.

    Eight channels lie in one thread, where parting and joining them only renames registers.
    """
    even, odd = tl.split(tl.reshape(x, (COUNT // 4, 2, 2)))
    first, third = tl.split(even)
    second, fourth = tl.split(odd)
    half = 0.5 * ((first + second) + (third + fourth))
    fours = tl.join(tl.join(half - fourth, half - second), tl.join(half - third, half - first))
    if GROUP >= 16:
        # The order within eight was kept by whoever reversed them: the halves of each still have to change places.
        low, high = tl.split(tl.permute(tl.reshape(fours, (COUNT // 8, 2, 4)), (0, 2, 1)))
        x = _turned(tl.permute(tl.join(high, low), (0, 2, 1)), COUNT, 4)
    else:
        x = fours
    if GROUP >= 64:
        x = _turned(x, COUNT, 16)
    if GROUP >= 256:
        x = _turned(x, COUNT, 64)
    if GROUP >= 1024:
        x = _turned(x, COUNT, 256)
    return tl.reshape(x, (COUNT // 8, 8))


@triton.jit
def rows_kernel(
    x,  # (rows, K), K contiguous, in a float type
    codes,  # int8 (rows, K)
    scales,  # float32 (rows,)
    row_stride,  # of x, in elements
    K: tl.constexpr,  # a multiple of 8 and of GROUP
    COUNT: tl.constexpr,  # the power of 2 that holds K
    GROUP: tl.constexpr,  # a power of 4 to rotate by, or 1
    GELU: tl.constexpr,
):
    """Write one row as codes and its scale."""
    row = tl.program_id(0).to(tl.int64)
    eights = tl.arange(0, COUNT // 8)[:, None]
    if GROUP >= 16:
        given = eights ^ (GROUP // 8 - 1)
    else:
        given = eights
    within = tl.arange(0, 8)[None, :]
    values = tl.load(x + row * row_stride + (given * 8 + within), mask=given * 8 < K, other=0.0)
    if GELU:
        values = _gelu(values.to(tl.float32)).to(values.dtype)
    values = values.to(tl.float32)
    if GROUP > 1:
        values = _rotated(values, COUNT, GROUP)
    magnitudes = values.to(tl.int32, bitcast=True) & _MAGNITUDE
    largest = tl.max(tl.max(magnitudes, axis=1), axis=0).to(tl.float32, bitcast=True)
    # Where the scale is not finite no code says more, and where it is 0 all values are.
    values = tl.where(largest < float("inf"), values, 0.0)
    steps = tl.where(values == 0.0, 0.0, values * tl.div_rn(_LARGEST, largest))
    bounded = tl.minimum(tl.maximum(steps, -_LARGEST), _LARGEST)
    rounded = (bounded + _ROUNDING).to(tl.int32, bitcast=True).to(tl.int8)
    tl.store(codes + row * K + (eights * 8 + within), rounded, mask=eights * 8 < K)
    tl.store(scales + row, tl.div_rn(largest, _LARGEST))


@triton.jit(do_not_specialize=["M"])
def product_kernel(
    codes,  # int8 (M, K); with BULK a tensor descriptor of (BLOCK_M, BLOCK_K)
    scales,  # float32 (M,)
    weight,  # int8 (N, K); with BULK a tensor descriptor of (BLOCK_N, BLOCK_K)
    weight_scales,  # float32 (N,)
    bias,  # (N,) in a float type; not read without BIASED
    out,  # (M, N) in a float type
    M,
    N,
    K,
    BIASED: tl.constexpr,
    WHOLE: tl.constexpr,  # BLOCK_K divides K
    BULK: tl.constexpr,  # a copy engine reads, which Hopper has
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BAND: tl.constexpr,  # blocks of rows whose programs follow each other, for what the L2 holds
):
    """Write one block of the product: int32 sums, then float32 with both scales and the bias, rounded once."""
    row_blocks, column_blocks = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    program = tl.program_id(0)
    first = program // (BAND * column_blocks) * BAND
    height = min(row_blocks - first, BAND)
    row_block = first + program % (BAND * column_blocks) % height
    column_block = program % (BAND * column_blocks) // height

    rows = row_block * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)
    terms = tl.arange(0, BLOCK_K)
    if not BULK:
        # Rows and columns beyond the end read others', which costs no mask, and are not written.
        left = codes + (rows % M).to(tl.int64)[:, None] * K + terms[None, :]
        right = weight + (columns % N).to(tl.int64)[None, :] * K + terms[:, None]
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.int32)
    for start in tl.range(0, K, BLOCK_K):
        if BULK:  # what lies beyond an end comes as zeros
            a = codes.load([row_block * BLOCK_M, start])
            b = weight.load([column_block * BLOCK_N, start]).T
        else:
            if WHOLE:
                a = tl.load(left)
                b = tl.load(right)
            else:
                a = tl.load(left, mask=terms[None, :] < K - start, other=0)
                b = tl.load(right, mask=terms[:, None] < K - start, other=0)
            left += BLOCK_K
            right += BLOCK_K
        total = tl.dot(a, b, total, out_dtype=tl.int32)

    inside = columns < N
    values = total.to(tl.float32) * tl.load(scales + rows, mask=rows < M, other=0.0)[:, None]
    values *= tl.load(weight_scales + columns, mask=inside, other=0.0)[None, :]
    if BIASED:
        values += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)[None, :]
    written = out + rows.to(tl.int64)[:, None] * N + columns[None, :]
    tl.store(written, values.to(out.dtype.element_ty), mask=(rows < M)[:, None] & inside[None, :])
