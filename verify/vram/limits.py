"""verify/limits.toml, read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.values.errors import InvalidError
from verify.vram.judge import Limit, Measure

FILE = Path(__file__).parents[1] / "limits.toml"
_MEASURES: dict[str, Measure] = {
    "allocated_gib": "allocated",
    "card_gib": "card",
    "host_gib": "host",
}
_KEYS = {"pipelines", "size", "frames", "flags", "without", "stage", "remedy", *_MEASURES}


def read_limits(path: Path = FILE) -> tuple[Limit, ...]:
    """Every limit of the file. Raises: InvalidError, which names the entry that is not one."""
    try:
        entries = tomllib.loads(path.read_text("utf-8"))["limit"]
        return tuple(_limit(entry, at) for at, entry in enumerate(entries, 1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"{path} can't be read: {error}",
            remedy="see the comment at its top, or `git checkout -- verify/limits.toml`",
        ) from error


def _limit(entry: dict[str, Any], at: int) -> Limit:
    if unknown := entry.keys() - _KEYS:
        raise ValueError(f"limit {at} has {', '.join(sorted(unknown))}, which no limit has")
    measures = entry.keys() & _MEASURES.keys()
    if len(measures) != 1:
        raise ValueError(f"limit {at} must have one of {', '.join(_MEASURES)}")
    (name,) = measures
    return Limit(
        pipelines=tuple(entry["pipelines"]),
        size=entry.get("size"),
        frames=entry.get("frames"),
        flags=tuple(entry.get("flags", ())),
        without=tuple(entry.get("without", ())),
        stage=entry.get("stage"),
        measure=_MEASURES[name],
        bound_bytes=int(entry[name] * GIB),
        remedy=entry["remedy"],
    )
