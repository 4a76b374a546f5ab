"""What a measured child writes, a JSON line an event, in the order of time.

A child that dies leaves the lines that it has written, and they still make sense.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Doing = Literal["load", "compute"]


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most that torch's allocator held in a stretch of time, in bytes."""

    allocated_bytes: int
    reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """From `at_s` (CLOCK_MONOTONIC) on, `component` is loaded or computes; None ends the run.

    `before` is what the stretch that ends here held at most; None without a GPU.
    """

    at_s: float
    component: str | None
    doing: Doing
    before: Peaks | None


@dataclass(frozen=True, slots=True)
class Held:
    """What torch's allocator holds at one moment, in bytes."""

    at_s: float
    allocated_bytes: int
    reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Parked:
    """What parked weights hold of the card from `at_s` on, in bytes: blocks that stay, and what
    passes, which are the ring of the others and parts while they are used.
    """

    at_s: float
    kept_bytes: int
    passing_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """How the script ended other than well; `out_of_memory` is that of the card."""

    out_of_memory: bool
    text: str


@dataclass(frozen=True, slots=True)
class Events:
    """All that a child said."""

    turns: tuple[Turn, ...]
    held: tuple[Held, ...]
    parked: tuple[Parked, ...]
    failure: Failure | None


def event_line(event: Turn | Held | Parked | Failure) -> str:
    """One line, with its end."""
    return json.dumps({"kind": type(event).__name__, **asdict(event)}) + "\n"


def parse_events(lines: Iterable[str]) -> Events:
    """The events of a child; a last line that was cut off is left out."""
    turns: list[Turn] = []
    held: list[Held] = []
    parked: list[Parked] = []
    failure = None
    for line in lines:
        if not line.endswith("\n"):
            break
        fields: dict[str, Any] = json.loads(line)
        match fields.pop("kind"):
            case "Turn":
                before = fields.pop("before")
                turns.append(Turn(**fields, before=Peaks(**before) if before else None))
            case "Held":
                held.append(Held(**fields))
            case "Parked":
                parked.append(Parked(**fields))
            case "Failure":
                failure = Failure(**fields)
    return Events(tuple(turns), tuple(held), tuple(parked), failure)
