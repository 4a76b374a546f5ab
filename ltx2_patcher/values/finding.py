"""What an examination of the machine found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # something will be slower, or can't be told
    FAILURE = "failure"  # it will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str  # "gpu"
    level: Level
    fact: str
    remedy: str | None = None  # where it is not ok


def told(caution: Finding | None) -> tuple[Finding, ...]:
    """The caution, where there is one."""
    return () if caution is None else (caution,)
