"""What was measured and committed: verify/baselines/vram-*.json."""

from __future__ import annotations

import json
from pathlib import Path

from ltx2_patcher.rules.models.measured import Measured, parse_baseline
from ltx2_patcher.values.errors import InvalidError

BASELINES = "verify/baselines"
"""Their folder below the repository's root."""


def read_baselines(folder: Path) -> tuple[Measured, ...]:
    """What every baseline of VRAM in the folder says, by file and order.

    Raises: InvalidError where one is damaged.
    """
    return tuple(
        measured for path in sorted(folder.glob("vram-*.json")) for measured in _measured(path)
    )


def _measured(path: Path) -> tuple[Measured, ...]:
    try:
        return parse_baseline(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"{path} is no baseline: {error!r}", remedy="`git checkout -- verify/baselines`"
        ) from error
