"""Can a script open its pictures: asked of the environment's own Pillow, which opens them there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries.interpreter import answer_of

_SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
try:
    from PIL import Image
except ImportError:
    raise SystemExit
for path in sys.argv[1:]:
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode == "F":
                raise ValueError("it holds floats, of which nobody says what white is")
            print(json.dumps({"size": image.size}))
    except Exception as error:  # whatever a decoder throws at a broken file
        print(json.dumps({"error": str(error) or type(error).__name__}))
"""
_AT_ONCE = 200  # a command line has an end, and an answer is waited for two minutes
_LEAST = 2  # pixels a side: upstream halves nothing smaller for its video codec


def faults_of_pictures(python: Path, paths: Sequence[Path]) -> tuple[str | None, ...]:
    """What is wrong with each picture for a script that `python` runs; None where it is right.

    All are None where that environment has no Pillow. Raises: OutsideError where it can't be
    started.
    """
    faults: list[str | None] = []
    for at in range(0, len(paths), _AT_ONCE):
        some = paths[at : at + _AT_ONCE]
        lines = answer_of(python, _SCRIPT, *map(str, some)).splitlines()
        told = [_fault(path, json.loads(line)) for path, line in zip(some, lines, strict=False)]
        faults += told + [None] * (len(some) - len(told))
    return tuple(faults)


def _fault(path: Path, found: Mapping[str, Any]) -> str | None:
    if "error" in found:
        return f"{path} can't be opened: {found['error']}".replace(f" '{path}'", "")
    width, height = found["size"]
    return f"{path} is {width}x{height} pixels" if min(width, height) < _LEAST else None
