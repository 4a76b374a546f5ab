"""Rows and products on a card, in Triton. What they must give is in `rows` and `product`.

A program of `rows_kernel` has one row in its registers from its one read to its one write, so that the largest
magnitude of the row is known before the first code is. What bounds it is how many instructions it issues, so the
matrix units rotate: 256 channels are 4 digits of base 4, and a rotation is H4 over each. One product does two digits
and a second one the others, 16 terms each; a product with the whole matrix would be 256.

Which digits lie where is chosen so that a thread has what it multiplies as it was read, and what it multiplies again
as the first product left it: nothing is exchanged between threads but codes before they are written.
"""

import triton
import triton.language as tl

_ROUNDING = tl.constexpr(12582912.0)
"""1.5 * 2^23. Added to what is below 2^22 it leaves that rounded to even, as the low bits of a float32."""
_LARGEST = tl.constexpr(127.0)
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)
"""All bits of a float32 but its sign. As integers, magnitudes are in order, and what is no number is the largest."""
_STEEPEST = tl.constexpr(3e38)
_UPPER = tl.constexpr(-65536)
"""The bits of a float32 that bf16 has."""
_HALF = tl.constexpr(32768)
"""Half of the last of them."""


@triton.jit
def _gelu(x):
    """Return x * (1 + tanh(u)) / 2 as x / (1 + exp(-2 u)), which keeps its digits where x is far below zero.

    The square of a root is one over it in two instructions; a division takes six.
    """
    root = tl.math.rsqrt(1.0 + tl.math.exp2(x * (-2.302208198 - 0.1029432396 * (x * x))))
    return x * root * root


@triton.jit
def _parted(x):
    """Return (high, rest): float32 `x` rounded to what bf16 holds, and how far it is from that: 2^-8 of it."""
    high = ((x.to(tl.int32, bitcast=True) + _HALF) & _UPPER).to(tl.float32, bitcast=True)
    return high.to(tl.bfloat16), x - high


@triton.jit
def _matrix(x, whole, place, within, UNIT: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr):
    """Return for each 256 a matrix (16, 16) that turns two digits, of entries UNIT and -UNIT, in bf16.

    Its rows are by (lower bit of near, far, upper bit of near), and its columns by (upper, far, lower). A digit stays
    as it is without NEAR or FAR.
    """
    near = (within ^ (within >> 2 | place >> 1 & 2)) & 3
    far = (place ^ place >> 3) & 3
    entries = tl.where(near == 3, -UNIT, UNIT) if NEAR else tl.where(near == 0, UNIT, 0.0)
    entries = tl.where(far == 3, -entries, entries) if FAR else tl.where(far == 0, entries, 0.0)
    # This reads nothing. But Triton lays out by reads, and as x lies in threads a product takes a matrix at once;
    # any other way it sends one for each 256 through shared memory.
    unread = whole * 256 + place * 8 + within
    entries = tl.load(x.to(tl.pointer_type(tl.bfloat16)) + unread, mask=unread < 0, other=entries.to(tl.bfloat16))
    groups: tl.constexpr = whole.shape[1]
    parted = tl.reshape(entries, (8, 4, groups, 2, 2, 2))
    return tl.reshape(tl.permute(parted, (2, 3, 0, 4, 1, 5)), (groups, 16, 16))


@triton.jit
def _rotated(x, values, whole, place, within, GROUP: tl.constexpr):
    """Return `values` (32, 256s, 8) rotated, float32, as (256s, 16, 16).

    A channel of 256 has digits d3 d2 d1 d0 of two bits each, such as u1 (upper) and l1 (lower). A place is d3 u1 d2,
    and the eight there are l1 d0. A row of what is returned is l0 d2 u0, and a column u1 d3 l1.
    """
    groups: tl.constexpr = whole.shape[1]
    parted = tl.reshape(values, (4, 2, 4, groups, 2, 2, 2))
    values = tl.reshape(tl.permute(parted, (3, 5, 2, 6, 4, 0, 1)), (groups, 16, 16))  # u0 d2 l0, l1 d3 u1
    first = _matrix(x, whole, place, within, GROUP**-0.5, True, GROUP >= 64)
    if values.dtype == tl.float32:
        high, rest = _parted(values)
        middle, rest = _parted(rest)
        values = tl.dot(first, rest.to(tl.bfloat16), tl.dot(first, middle, tl.dot(first, high)))
    else:
        values = tl.dot(first.to(values.dtype), values)  # products are exact
    second = tl.permute(_matrix(x, whole, place, within, 1.0, GROUP >= 16, GROUP >= 256), (0, 2, 1))
    high, rest = _parted(values)  # which leaves out 2^-17, where a step between two codes is 2^-7
    values = tl.dot(rest.to(tl.bfloat16), second, tl.dot(high, second))
    if GROUP == 1024:
        # H4 is J/2 - P, with J all ones and P the reversal, which whoever read them has done.
        fours = tl.reshape(values, (groups // 4, 4, 256))
        values = tl.reshape(tl.sum(fours, axis=1, keep_dims=True) - 2.0 * fours, (groups, 16, 16))
    return values


@triton.jit
def rows_kernel(
    x,  # (rows, K), K contiguous, in a float type
    codes,  # int8 (rows, K)
    scales,  # float32 (rows,)
    row_stride,  # of x, in elements
    K: tl.constexpr,  # a multiple of 8 and of GROUP
    COUNT: tl.constexpr,  # the power of 2 that holds K, 256 or more
    GROUP: tl.constexpr,  # a power of 4 to rotate by, or 1
    GELU: tl.constexpr,
):
    """Write one row as codes and its scale."""
    row = tl.program_id(0).to(tl.int64)
    whole = tl.arange(0, COUNT // 256)[None, :, None]  # which 256
    place = tl.arange(0, 32)[:, None, None]  # of a thread in its warp
    within = tl.arange(0, 8)[None, None, :]
    given, made = place, place  # which eights of channels lie there, when they come and when they go
    if GROUP > 1:  # d3 u1 d2 and d2 u1 d3: each 256 is read and written as a whole, in an order that costs nothing
        given = place & 24 | (place & 3) << 1 | place >> 2 & 1
        made = (place & 3) << 3 | place >> 2 & 6 | place >> 2 & 1
    read = given * 8 + within + (whole ^ 3 if GROUP == 1024 else whole) * 256
    values = tl.load(x + row * row_stride + read, mask=read < K, other=0.0)
    if GELU:
        values = _gelu(values.to(tl.float32)).to(values.dtype)
    if GROUP > 1:
        values = _rotated(x, values, whole, place, within, GROUP)
    else:
        values = values.to(tl.float32)
    magnitudes = tl.reshape(values.to(tl.int32, bitcast=True) & _MAGNITUDE, (COUNT,))
    largest = tl.max(magnitudes, axis=0).to(tl.float32, bitcast=True)
    steps = values * tl.minimum(tl.div_rn(_LARGEST, largest), _STEEPEST)
    if GROUP == 1:  # no step is above it, but without it product and sum would be rounded once, and plain torch's twice
        steps = tl.minimum(steps, _LARGEST)
    rounded = (steps + _ROUNDING).to(tl.int32, bitcast=True).to(tl.int8)
    if GROUP > 1:
        parted = tl.reshape(rounded, (COUNT // 256, 2, 4, 2, 2, 4, 2))
        rounded = tl.reshape(tl.permute(parted, (2, 4, 5, 0, 6, 3, 1)), (32, COUNT // 256, 8))
    written = whole * 256 + made * 8 + within
    tl.store(codes + row * K + written, rounded, mask=written < K)
    if not largest < float("inf"):  # no code says more than the scale
        tl.store(codes + row * K + written, tl.zeros_like(rounded), mask=written < K)
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
