"""From the seconds and sizes that people ask for to the frames that models make."""

from __future__ import annotations

import math

FRAME_RATE = 24.0  # of LTX-2's own scripts, for who names seconds and no rate
_STRIDE = 8  # frames that one latent frame holds, after the first


def frames_of(seconds: float, frame_rate: float) -> int:
    """The least number of frames 8k+1 that lasts at least so many seconds; both are positive."""
    frames = math.ceil(round(seconds * frame_rate, 6))
    return _STRIDE * max(0, math.ceil((frames - 1) / _STRIDE)) + 1


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "768x512". Raises: ValueError."""
    width, height = text.split("x")
    return int(width), int(height)


def seconds_shown(num_frames: int, frame_rate: float) -> str:
    """How long so many frames last: "5", "4.04"."""
    return f"{num_frames / frame_rate:.2f}".rstrip("0").rstrip(".")
