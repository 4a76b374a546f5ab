"""What jobs and their files are called. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from ltx2_service.values.job import Wanted

_OWN_FILE = re.compile(
    r"(?P<job>(?:video|t2v|i2v)_[0-9a-z_]+?)(?:\.(?P<token>\d+))?(?P<part>\.part)?\.mp4"
)


def new_id(wanted: Wanted, now_s: float, hexadecimal: Callable[[int], str]) -> str:
    """The id of a new job; `hexadecimal` draws so many bytes."""
    if wanted.origin != "own":
        return f"video_{hexadecimal(12)}"
    kind = "i2v" if wanted.pictures else "t2v"
    return f"{kind}_{time.strftime('%Y%m%d_%H%M%S', time.localtime(now_s))}_{hexadecimal(4)}"


def clip_name(job: str, token: int) -> str:
    """The file that an attempt's clip takes: each has its own, so that none overwrites another."""
    return f"{job}.mp4" if token == 1 else f"{job}.{token}.mp4"


def part_name(job: str, token: int) -> str:
    """The file that an attempt writes its clip into."""
    return f"{job}.{token}.part.mp4"


def attempt_of(name: str) -> tuple[str, int] | None:
    """The job and the token that a clip or a part of one is named for; None for another file."""
    if (found := _OWN_FILE.fullmatch(name)) is None:
        return None
    if found["token"] is None and found["part"]:
        return None
    return found["job"], int(found["token"] or 1)
