"""What a video file needs whatever writes it: its exact frame rate, its folder, and to be whole or not there."""

import inspect
from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

_NTSC = Fraction(1000, 1001)  # 23.976, 29.97 and 59.94 are 24, 30 and 60 times this (SMPTE ST 12-1)
_ROUNDED = 0.005  # how far from it people write it


def exact_rate(fps: float) -> int | Fraction:
    """Return frames per second as a container states them: 24.0 -> 24, 23.976 -> 24000/1001, 12.5 -> 25/2."""
    if fps == int(fps):
        return int(fps)
    ntsc = round(fps / _NTSC) * _NTSC
    return ntsc if abs(fps - ntsc) < _ROUNDED else Fraction(fps).limit_denominator(1000)


def whole_file(encode: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Return `encode`, which writes the file at its `output_path`, with its folder made and no half file left.

    A file that was there before stays where `encode` fails without having touched it.
    """
    signature = inspect.signature(encode)

    @wraps(encode)
    def encode_whole(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        path = Path(signature.bind(*args, **kwargs).arguments["output_path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _written(path)
        try:
            return encode(*args, **kwargs)
        except BaseException:
            if _written(path) != before:
                path.unlink()
            raise

    return encode_whole


def _written(path: Path) -> tuple[int, int] | None:
    """When the file was last written, in ns, and its size in bytes; None where there is none."""
    if not path.exists():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
