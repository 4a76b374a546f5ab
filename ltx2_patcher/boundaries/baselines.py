"""What was measured and committed: verify/baselines/*.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ltx2_patcher.rules.models.measured import Measured, parse_baseline
from ltx2_patcher.rules.models.parked_need import ParkedNeed, parse_needs
from ltx2_patcher.values.errors import InvalidError

Of = TypeVar("Of")
BASELINES = "verify/baselines"
"""Their folder below the repository's root."""


def read_baselines(folder: Path) -> tuple[Measured, ...]:
    """What every baseline of VRAM in the folder says, by file and order.

    Raises: InvalidError where one is damaged.
    """
    return _read(folder, "vram-*.json", parse_baseline)


def read_needs(folder: Path) -> tuple[ParkedNeed, ...]:
    """What every baseline of parked weights says of the card's memory, likewise.

    Raises: InvalidError where one is damaged.
    """
    return _read(folder, "parked-*.json", parse_needs)


def _read(folder: Path, names: str, parse: Callable[[Any], tuple[Of, ...]]) -> tuple[Of, ...]:
    return tuple(one for path in sorted(folder.glob(names)) for one in _parsed(path, parse))


def _parsed(path: Path, parse: Callable[[Any], tuple[Of, ...]]) -> tuple[Of, ...]:
    try:
        return parse(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"{path} is no baseline: {error!r}", remedy="`git checkout -- verify/baselines`"
        ) from error
