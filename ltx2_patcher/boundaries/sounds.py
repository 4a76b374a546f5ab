"""What sound a file holds, and how fast its pictures follow.

Asked of the environment's own PyAV, which the scripts read it with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries.interpreter import answer_of
from ltx2_patcher.rules.models.sound import Sound

_SCRIPT = """
import json, sys
try:
    import av
except ImportError:
    raise SystemExit
for path in sys.argv[1:]:
    found = {"channels": 0, "seconds": 0.0, "error": None, "frame_rate": None}
    try:
        with av.open(path) as container:
            if container.streams.audio:
                stream = container.streams.audio[0]
                found["channels"] = stream.channels
                if stream.duration is not None:
                    found["seconds"] = float(stream.duration * stream.time_base)
                elif container.duration is not None:
                    found["seconds"] = container.duration / av.time_base
            if container.streams.video:
                found["frame_rate"] = float(container.streams.video[0].average_rate or 0)
    except Exception as error:  # whatever a demuxer throws at a broken file
        found["error"] = str(error) or type(error).__name__
    print(json.dumps(found))
"""


def sounds_of(python: Path, paths: Sequence[Path]) -> tuple[Sound, ...]:
    """The first sound of each file; none at all where the environment of `python` has no PyAV.

    Raises: OutsideError where it can't be started.
    """
    if not paths:
        return ()
    answer = answer_of(python, _SCRIPT, *map(str, paths))
    return tuple(Sound(**json.loads(line)) for line in answer.splitlines())
