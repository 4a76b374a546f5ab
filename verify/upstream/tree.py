"""A checkout of upstream: where its packages lie, what its scripts know, and what they run in."""

from __future__ import annotations

import os
from pathlib import Path

from ltx2_patcher.boundaries import machine

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


def script_environment(tree: Path, gpu: int | None = None) -> dict[str, str]:
    """The variables of a process that runs scripts of `tree`, and modules of ours beside them.

    What else lies on the path stays behind the tree, which must win. Torch's segments may grow, as
    under `ltx2-patcher run`; `gpu` is the one card to see, by nvidia-smi's index.
    """
    # What parses a command line alone needs none of the tool's own requirements.
    from ltx2_patcher.jobs.launch.run import ALLOCATOR

    path = [*map(str, source_folders(tree)), str(ROOT)]
    if before := os.environ.get("PYTHONPATH"):
        path.append(before)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    if machine.has_nvidia() and not any(name in os.environ for name in ALLOCATOR):
        variables[ALLOCATOR[0]] = "expandable_segments:True"
    if gpu is not None and (card := machine.gpu(gpu)):
        variables |= card.variables
    return variables
