"""`python -m ltx2_service.boundaries.ray.probe`: a cluster's machines, for who looks over settings.

It reads which cluster and which file, and writes what each machine sees there, as JSON. Like a
driver it may be ended by Ray, so it is a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.ray.cluster import Place, connect, places, read_on
from ltx2_service.values.settings import Cluster


def main() -> int:
    """0, with an answer or an error."""
    asked = json.load(sys.stdin)
    cluster = Cluster(asked["address"], Path(asked["shared"]), Path(), asked["card"])
    try:
        connect(cluster)
        by_node: dict[str, Place] = {place.node: place for place in places(cluster)}
        counts = Counter(place.machine for place in places(cluster))
        machines = [
            {
                "name": place.machine,
                "cards": counts[place.machine],
                "sees": read_on(place, Path(asked["file"])) == asked["word"],
            }
            for place in by_node.values()
        ]
        told: dict[str, object] = {"machines": machines}
    except OutsideError as error:
        told = {"error": str(error), "remedy": error.remedy}
    print(json.dumps(told))  # noqa: T201 - it is what the process is for
    return 0


if __name__ == "__main__":
    sys.exit(main())
