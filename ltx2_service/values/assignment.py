"""What a worker is given to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Renderer:
    """The process that scripts run in, attempt after attempt; one that asks for another base, code
    or setting has another in its place (rules/renderers.py).
    """

    base: str  # "1.2.0"
    series: str  # digest of the code that it runs, so that newer code means another process
    argv: tuple[str, ...]  # Script.child's
    variables: Mapping[str, str]  # Script.child's; the worker adds which card it sees


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt, as a worker needs it."""

    job: str
    token: int
    model: str  # a name of the settings
    argv: tuple[str, ...]  # of the script, with --output-path at `part`
    part: Path  # where the clip is written; the worker fsyncs it and renames it to `place`
    place: Path
    run_limit_s: float  # from when the script begins
    renderer: Renderer
    module: str  # Script.module: "ltx_pipelines.distilled"
