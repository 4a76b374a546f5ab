"""Messages as lines of JSON, which `parse` reads back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltx2_service.values.assignment import Assignment, Renderer
from ltx2_service.values.job import Failure
from ltx2_service.values.messages import (
    Ask,
    Assign,
    Cancel,
    Over,
    Reached,
    Refused,
    Settled,
    Standing,
    Stop,
    Superseded,
    Tell,
)
from ltx2_service.values.told import Ended, Progress

_KINDS: Mapping[type[Ask | Tell], str] = {
    Assign: "assign",
    Cancel: "cancel",
    Settled: "settled",
    Stop: "stop",
    Standing: "standing",
    Reached: "reached",
    Over: "over",
    Refused: "refused",
    Superseded: "superseded",
}


def render(message: Ask | Tell) -> bytes:
    """The line of a message, without its end."""
    parts = {"kind": _KINDS[type(message)], **asdict(message)}
    return json.dumps(parts, default=str).encode("ascii")  # by str: paths


def parse(line: bytes) -> Ask | Tell:
    """The message of a line. Raises: ValueError for what is none."""
    try:
        told = json.loads(line)
        return _PARSERS[told.pop("kind")](told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no message: {line[:200]!r}") from error


def _assign(told: Mapping[str, Any]) -> Assign:
    of = told["assignment"]
    renderer = of["renderer"]
    return Assign(
        Assignment(
            **{
                **of,
                "argv": tuple(of["argv"]),
                "part": Path(of["part"]),
                "place": Path(of["place"]),
                "renderer": Renderer(**{**renderer, "argv": tuple(renderer["argv"])}),
            }
        )
    )


def _reached(told: Mapping[str, Any]) -> Reached:
    of = told["progress"]
    latents = None if of["latents"] is None else Path(of["latents"])
    return Reached(told["job"], told["token"], Progress(**{**of, "latents": latents}))


def _over(told: Mapping[str, Any]) -> Over:
    of = told["ended"]
    failure = None if of["failure"] is None else Failure(**of["failure"])
    return Over(told["job"], told["token"], told["worker"], Ended(**{**of, "failure": failure}))


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Ask | Tell]] = {
    "assign": _assign,
    "cancel": lambda told: Cancel(**told),
    "settled": lambda told: Settled(**told),
    "stop": lambda told: Stop(**told),
    "standing": lambda told: Standing(**{**told, "warm": tuple(told["warm"])}),
    "reached": _reached,
    "over": _over,
    "refused": lambda told: Refused(**told),
    "superseded": lambda told: Superseded(**told),
}
