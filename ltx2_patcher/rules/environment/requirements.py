"""Which distributions an environment needs, and what an environment made by others may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError

NO_DEPENDENCIES = "torchaudio"
"""Installed alone: it would pull the torch of its own version in. Upstream imports it, and uses
only its pure-Python resampling and spectrogram."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the installer."""

    wanted: tuple[str, ...]  # "torch==2.13.0"
    dependencies: bool  # bring what they need


def normalized(name: str) -> str:
    """A distribution's name as everyone compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def fresh_steps(pins: Mapping[str, str], installed: Mapping[str, str]) -> tuple[Step, ...]:
    """What makes `installed` hold the pins: torch first, so that nothing else chooses it."""
    lacking = [n for n, v in pins.items() if not _same(installed.get(normalized(n)), v)]
    steps = []
    if "torch" in lacking:
        steps.append(Step((f"torch=={pins['torch']}",), dependencies=True))
    if NO_DEPENDENCIES in lacking:
        pin = f"{NO_DEPENDENCIES}=={pins[NO_DEPENDENCIES]}"
        steps.append(Step((pin,), dependencies=False))
    rest = [f"{n}=={pins[n]}" for n in lacking if n not in {"torch", NO_DEPENDENCIES}]
    if rest:
        steps.append(Step(tuple(rest), dependencies=True))
    return tuple(steps)


def joining_steps(base: Base, installed: Mapping[str, str], place: str) -> tuple[Step, ...]:
    """What an environment of the user's lacks; nothing in it is changed.

    Raises: ConflictError where something in it does not go with the base.
    """
    remedy = "or run install without --python, which makes an environment of its own"
    if "torch" not in installed:
        raise ConflictError(f"{place} has no torch", remedy=f"install torch there first, {remedy}")
    for name in base.accepts:
        version = installed.get(normalized(name))
        if version is not None and not accepts(base, name, version):
            raise ConflictError(
                f"{name} {version} in {place} does not go with base {base.name}, "
                f"which needs {base.accepts[name]}",
                remedy=f"install {name}=={base.environment[name]} there, {remedy}",
            )
    lacking = {n: v for n, v in base.environment.items() if normalized(n) not in installed}
    return fresh_steps(lacking, {})


def accepts(base: Base, name: str, version: str) -> bool:
    """Whether a version of a distribution goes with the base."""
    # A pre-release of the first version that no longer works is out, one in between is in.
    return SpecifierSet(base.accepts.get(name, "")).contains(version, prereleases=True)


def _same(found: str | None, pinned: str) -> bool:
    # "2.13.0+cpu" is 2.13.0: which build of torch is there is the machine's matter.
    return found is not None and found.partition("+")[0] == pinned
