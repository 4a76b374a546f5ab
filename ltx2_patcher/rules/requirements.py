"""Which distributions an environment needs, and what an environment made by others may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ltx2_patcher.values.errors import ConflictError

NO_DEPENDENCIES = "torchaudio"
"""Installed alone: it would pull the torch of its own version in. Upstream imports it, and uses
only its pure-Python resampling and spectrogram."""

_ACCEPTED: Mapping[str, Mapping[str, tuple[str, str | None]]] = {
    # base -> distribution -> (oldest, first that no longer works). Tried with upstream's scripts:
    # 1.0.0 runs on transformers 4.52.4 to 4.57.6 and breaks on 5; bitsandbytes has had a working
    # CPU backend since 0.47.
    "1.0.0": {
        "torch": ("2.7", None),
        "transformers": ("4.52", "5"),
        "bitsandbytes": ("0.47", None),
    },
}


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


def joining_steps(
    base: str, pins: Mapping[str, str], installed: Mapping[str, str], place: str
) -> tuple[Step, ...]:
    """What an environment of the user's lacks; nothing in it is changed.

    Raises: ConflictError where something in it does not go with the base.
    """
    remedy = "or run install without --python, which makes an environment of its own"
    if "torch" not in installed:
        raise ConflictError(f"{place} has no torch", remedy=f"install torch there first, {remedy}")
    for name in _ACCEPTED.get(base, {}):
        version = installed.get(name)
        if version is not None and not accepts(base, name, version):
            raise ConflictError(
                f"{name} {version} in {place} does not go with base {base}, "
                f"which needs {accepted(base, name)}",
                remedy=f"install {name}=={pins[name]} there, {remedy}",
            )
    lacking = {n: v for n, v in pins.items() if normalized(n) not in installed}
    return fresh_steps(lacking, {})


def accepts(base: str, name: str, version: str) -> bool:
    """Whether a version of a distribution goes with the base."""
    least, below = _ACCEPTED.get(base, {}).get(name, ("0", None))
    number = _number(version)
    return number >= _number(least) and (below is None or number < _number(below))


def accepted(base: str, name: str) -> str:
    """The versions that go with the base, in words."""
    least, below = _ACCEPTED.get(base, {}).get(name, ("0", None))
    return f"{least} or newer" + (f", below {below}" if below else "")


def _same(found: str | None, pinned: str) -> bool:
    # "2.13.0+cpu" is 2.13.0: which build of torch is there is the machine's matter.
    return found is not None and found.partition("+")[0] == pinned


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
