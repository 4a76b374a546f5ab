"""The order in which scales of blocks lie for the tensor cores that multiply by them.

Tiles of 128 rows and 4 columns lie one after the other, row of tiles by row of tiles; in a tile, scale (r, c) lies at
r % 32 * 16 + r // 32 * 4 + c. Rows and columns are filled up to whole tiles (cuBLAS documentation, "1D Block Scaling
Factors Layout"; ComfyUI stores mxfp8 and nvfp4 so, comfy-kitchen 0.2.31, float_utils.py).
"""

import torch

_ROWS, _COLUMNS = 128, 4


def stored_count(rows: int, columns: int) -> int:
    """How many scales are stored for a matrix of them, whole tiles."""
    return -(-rows // _ROWS) * _ROWS * (-(-columns // _COLUMNS) * _COLUMNS)


def unswizzled(scales: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return the matrix (rows, columns) of stored scales, of any shape with as many elements as are stored for it."""
    row, column = torch.arange(rows).unsqueeze(1), torch.arange(columns)
    tiles_across = -(-columns // _COLUMNS)
    tile = row // _ROWS * tiles_across + column // _COLUMNS
    within = row % 32 * 16 + row % _ROWS // 32 * 4 + column % _COLUMNS
    return scales.flatten()[tile * (_ROWS * _COLUMNS) + within]
