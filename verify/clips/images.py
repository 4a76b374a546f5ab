"""The images that clips begin or end with: painted by formulas, so that nothing is downloaded.

What one machine's numpy rounds otherwise than another's is at most one step of one channel; a
manifest holds the digest of each image, and recordings of different images are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float64]  # (height, width), mostly 0 to 1
Painter = Callable[[Plane, Plane], Plane]  # of y and x, 0 to 1 each, to (height, width, 3), 0 to 1

WIDTH, HEIGHT = 960, 640  # larger than any clip, of the full shape's ratio


def write_image(name: str, path: Path) -> None:
    """The image of that name lies at `path` as a PNG. Raises: OSError."""
    y, x = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
    pixels = (PAINTERS[name](y, x).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(path, optimize=False)


def _sunset(y: Plane, x: Plane) -> Plane:
    """A low sun over the sea, with its path of light on the waves."""
    horizon = 0.55
    sky = _gradient(y / horizon, (0.16, 0.20, 0.45), (0.98, 0.62, 0.30))
    distance = np.hypot((x - 0.5) * 1.5, y - 0.48)
    sky = _over(sky, (1.0, 0.93, 0.70), _edge(0.07 - distance, 0.004))
    sky += (0.25 * np.exp(-((distance / 0.22) ** 2)))[..., None] * np.array([1.0, 0.6, 0.3])
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    sea = _gradient(depth, (0.55, 0.38, 0.36), (0.03, 0.10, 0.20))
    waves = np.sin(90 * np.sqrt(depth + 0.02) + 6 * np.sin(9 * x + 14 * depth))
    path = np.exp(-(((x - 0.5) / (0.04 + 0.16 * depth)) ** 2))
    sea += (0.35 * path * (waves > 0.1) + 0.05 * waves * depth)[..., None] * np.array(
        [1.0, 0.8, 0.5]
    )
    return np.where((y < horizon)[..., None], sky, sea)


def _night(y: Plane, x: Plane) -> Plane:
    """The same sea, dark, under a moon and stars."""
    horizon = 0.55
    sky = _gradient(y / horizon, (0.01, 0.02, 0.07), (0.06, 0.12, 0.26))
    # Each cell of a grid holds at most one star, placed and lit by a hash of the cell.
    rows, columns = np.floor(y * 40).astype(np.int64), np.floor(x * 60).astype(np.int64)
    seed = (rows * 73_856_093 ^ columns * 19_349_663) & 0xFFFF
    near = np.hypot((y * 40) % 1 - (seed % 7 + 1) / 9, (x * 60) % 1 - (seed % 11 + 1) / 13)
    stars = (seed % 5 == 0) * np.exp(-((near / 0.09) ** 2)) * (0.4 + (seed % 13) / 20)
    sky += stars[..., None]
    moon = np.hypot((x - 0.74) * 1.5, y - 0.16)
    sky = _over(sky, (0.93, 0.94, 0.88), _edge(0.05 - moon, 0.004))
    depth = ((y - horizon) / (1 - horizon)).clip(0, 1)
    sea = _gradient(depth, (0.06, 0.11, 0.22), (0.0, 0.02, 0.05))
    waves = np.sin(90 * np.sqrt(depth + 0.02) + 6 * np.sin(9 * x + 14 * depth))
    path = np.exp(-(((x - 0.74) / (0.03 + 0.12 * depth)) ** 2))
    sea += (0.3 * path * (waves > 0.2))[..., None] * np.array([0.9, 0.95, 1.0])
    return np.where((y < horizon)[..., None], sky, sea)


def _hills(y: Plane, x: Plane) -> Plane:
    """Three ridges of hills, clouds, and a striped balloon low over them."""
    picture = _gradient(y, (0.35, 0.60, 0.92), (0.85, 0.93, 0.98))
    cloud = np.sin(7 * x + 3 * np.sin(5 * y)) * np.sin(13 * y + 2 * x) * np.sin(19 * x - 4 * y)
    picture = _over(
        picture, (1.0, 1.0, 1.0), 0.8 * _edge(cloud - 0.35, 0.15) * _edge(0.4 - y, 0.15)
    )
    for place, height, color in (
        (0.55, 0.06, (0.45, 0.62, 0.55)),
        (0.66, 0.08, (0.33, 0.58, 0.30)),
        (0.80, 0.07, (0.22, 0.46, 0.18)),
    ):
        ridge = place + height * np.sin(6 * x + 20 * place) + 0.02 * np.sin(17 * x + 9 * place)
        shade = 1 - 0.3 * (y - ridge).clip(0, 1)
        inside = _edge(y - ridge, 0.003)
        picture = _over(picture, np.array(color) * shade[..., None], inside)
    across, down = (x - 0.30) * 1.5, y - 0.42
    radius = np.hypot(across, down * 0.88)
    stripes = np.where(
        (np.floor((np.arcsin((across / 0.13).clip(-1, 1)) + 2) * 4) % 2 == 0)[..., None],
        np.array([0.12, 0.30, 0.75]),
        np.array([0.98, 0.83, 0.20]),
    )
    shaded = stripes * (1 - 2.5 * across.clip(0, 1))[..., None]
    picture = _over(picture, shaded, _edge(0.13 - radius, 0.004))
    basket = (np.abs(across) < 0.022) & (np.abs(down - 0.20) < 0.018)
    ropes = (np.abs(np.abs(across) - 0.02) < 0.0018) & (down > 0.1) & (down < 0.19)
    return _over(picture, (0.35, 0.22, 0.12), np.where(basket | ropes, 1.0, 0.0))


PAINTERS: Mapping[str, Painter] = {"sunset": _sunset, "night": _night, "hills": _hills}


def _gradient(share: Plane, start: tuple[float, ...], end: tuple[float, ...]) -> Plane:
    mixed = share.clip(0, 1)[..., None]
    mixture: Plane = np.array(start) * (1 - mixed) + np.array(end) * mixed
    return mixture


def _edge(inside: Plane, softness: float) -> Plane:
    """1 where `inside` is well above 0, 0 well below, without steps between."""
    return (inside / softness + 0.5).clip(0, 1)


def _over(below: Plane, color: tuple[float, ...] | Plane, share: Plane) -> Plane:
    return below * (1 - share[..., None]) + np.array(color) * share[..., None]
