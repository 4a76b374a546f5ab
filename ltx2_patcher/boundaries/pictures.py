"""Can a script open its pictures: asked of the environment's own Pillow, which opens them there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

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
_LEAST = 2  # pixels a side: upstream halves nothing smaller for its video codec


def fault_of_pictures(python: Path, paths: Sequence[Path]) -> str | None:
    """What is wrong with the first picture that a script run by `python` could not use.

    None where all are right, or that environment has no Pillow. Raises: OutsideError where it can't
    be started.
    """
    if not paths:
        return None
    answer = answer_of(python, _SCRIPT, *map(str, paths))
    for path, line in zip(paths, answer.splitlines(), strict=False):
        found = json.loads(line)
        if "error" in found:
            return f"{path} can't be opened: {found['error']}".replace(f" '{path}'", "")
        width, height = found["size"]
        if min(width, height) < _LEAST:
            return f"{path} is {width}x{height} pixels"
    return None
