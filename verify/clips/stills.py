"""Frames and their differences as pictures that a page can hold, base64 in data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]  # (height, width, 3)

GAIN = 4
"""A difference of 255 / GAIN in a channel is shown as the brightest."""

# From no difference to the greatest: dark enough to see one level of 255, evenly brighter, and
# told apart without seeing red from green.
_COLORS = ((4, 4, 20), (63, 15, 100), (150, 36, 98), (222, 82, 58), (250, 164, 40), (252, 255, 180))


def data_uri(kind: str, content: bytes) -> str:
    """`content` as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def photo(picture: Picture) -> str:
    """A frame, as a JPEG whose losses the eye doesn't see."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=92, subsampling=0)
    return data_uri("image/jpeg", out.getvalue())


def difference_map(a: Picture, b: Picture) -> str:
    """Where and how much two frames differ: the greatest difference of the channels, in color."""
    differing = np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=2)
    levels = np.minimum(differing.astype(np.float64) * GAIN, 255)
    stops = np.linspace(0, 255, len(_COLORS))
    colors = np.array(_COLORS, np.float64)
    mapped = np.stack([np.interp(levels, stops, colors[:, c]) for c in range(3)], axis=-1)
    out = io.BytesIO()
    Image.fromarray(mapped.round().astype(np.uint8)).save(out, "PNG", optimize=True)
    return data_uri("image/png", out.getvalue())


def legend_css() -> str:
    """The colors of a difference map as a CSS gradient, from no difference on."""
    return f"linear-gradient(90deg, {', '.join(f'rgb{color}' for color in _COLORS)})"
