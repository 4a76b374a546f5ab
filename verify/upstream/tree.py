"""A checkout of upstream: where its packages lie, what its scripts know, and what they run in."""

from __future__ import annotations

import os
from pathlib import Path

from ltx2_patcher.boundaries.machine import Gpu

ROOT = Path(__file__).parents[2]
"""The folder that holds the package `verify`."""
PACKAGES = ("ltx-core", "ltx-pipelines")


def source_folders(tree: Path) -> list[Path]:
    """What of `tree` belongs on Python's path."""
    return [tree / "packages" / name / "src" for name in PACKAGES]


def core_of(tree: Path) -> Path:
    """Where upstream's package `ltx_core` lies in `tree`."""
    return tree / "packages" / "ltx-core" / "src" / "ltx_core"


def knows_flag(tree: Path, flag: str) -> bool:
    """Does the upstream in `tree` have a script that takes `flag`?"""
    pipelines = tree / "packages" / "ltx-pipelines" / "src" / "ltx_pipelines"
    return any(f'"{flag}"' in path.read_text("utf-8") for path in pipelines.rglob("*.py"))


def script_environment(tree: Path, gpu: Gpu | None = None) -> dict[str, str]:
    """The variables of a process that runs scripts of `tree`, and modules of ours beside them.

    What else lies on the path stays behind the tree, which must win.
    """
    # What parses a command line alone needs none of the tool's own requirements.
    from ltx2_patcher.jobs.launch.script import script_variables

    return script_variables(os.environ, (*source_folders(tree), ROOT), gpu)
