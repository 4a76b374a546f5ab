"""Each kernel of the tables compiles for its card, which need not be here, and fits it."""

import pytest

pytest.importorskip("triton", reason="compiles the kernels for cards that are not here")

from ltx_core.int8.kernels import rows_kernel
from ltx_core.int8.operators import rows_launch
from ltx_core.int8.tiles import SHARED_BYTES, TABLES, Tile, candidates

from verify.campaigns.int8_resources import (
    GROUP,
    compiled,
    product_resources,
    products,
    rows_made,
    rows_resources,
)

AMPERE = (8, 6)
OTHERS = [card for card in TABLES if card != AMPERE]
AS_LISTED = [pytest.param(AMPERE, marks=pytest.mark.core)]
AS_LISTED += [pytest.param(card, marks=pytest.mark.slow) for card in OTHERS]


@pytest.mark.parametrize("capability", AS_LISTED)
def test_products_take_what_their_tile_says_and_spill_nothing(capability: tuple[int, int]) -> None:
    matrix = "wgmma.mma_async" if capability == (9, 0) else "mma.sync m16n8k32"
    for tile in products(capability):
        taken = product_resources(capability, tile)
        assert taken.spilled_bytes == 0, tile
        assert taken.shared_bytes == tile.shared_bytes(capability), tile
        assert taken.shared_bytes <= SHARED_BYTES[capability], tile
        # Of 64 Ki registers: else no block of threads starts.
        assert taken.registers * 32 * tile.warps <= 1 << 16, tile
        assert str(taken.matrix).startswith(matrix), tile


@pytest.mark.slow
@pytest.mark.parametrize("tile", [tile for tile in candidates((9, 0)) if tile.bulk], ids=str)
def test_what_the_copy_engine_reads_fits_too(tile: Tile) -> None:
    """What a measurement on a Hopper card tries beside its table."""
    taken = product_resources((9, 0), tile)
    assert taken.spilled_bytes == 0
    assert taken.shared_bytes == tile.shared_bytes((9, 0)) <= SHARED_BYTES[9, 0]


@pytest.mark.parametrize("capability", AS_LISTED)
def test_rows_lie_in_registers_and_spill_nothing(capability: tuple[int, int]) -> None:
    for into, gelu in rows_made():
        taken = rows_resources(capability, TABLES[capability], into, gelu=gelu)
        assert taken.spilled_bytes == 0, into
        assert taken.registers <= 104, into  # 64 values a thread at most
        # A word a warp, for the largest of the row: what a product takes or leaves is exchanged
        # within warps alone, and matrices are made where they are multiplied.
        assert taken.shared_bytes <= 32 * 4, into
        assert taken.matrix == "mma.sync m16n8k16", into


@pytest.mark.parametrize("capability", AS_LISTED)
def test_what_is_not_rotated_rounds_to_codes_as_plain_torch_does(
    capability: tuple[int, int],
) -> None:
    """Fused with the sum that rounds it to a code, the product before it would not be rounded."""
    plain, rotated = (
        compiled(rows_kernel, rows_launch(1, 4096, group, gelu=False, warps=4), capability)
        for group in (1, GROUP)
    )
    assert "fma" not in plain.asm["ptx"]
    assert "fma" in rotated.asm["ptx"]


def test_what_the_card_of_a_3090_has() -> None:
    assert SHARED_BYTES[AMPERE] == 99 << 10
    assert GROUP == 256
