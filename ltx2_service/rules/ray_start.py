"""How a machine becomes a node of the cluster: the words and variables of `ray start`. Pure.

The sources are Ray's documentation (docs.ray.io, of 2.60) and the sources of ray 2.60.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ltx2_service.values.settings import CARD, Cluster

OBJECT_STORE_BYTES = 128 * 1024**2
"""Nothing but previews, of less than a megabyte each, passes the object store, for which Ray takes
30 % of a machine's memory (ray-core/scheduling/memory-management), where parked weights belong.
It takes 75 MiB at least (ray_constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES).
"""
LEFT_OUT = ("RAY_AUTH_", "RAY_ADDRESS", "RAY_NAMESPACE")
"""Variables of whoever starts us that would win over what is set here."""


def variables_of(cluster: Cluster, tree: Path) -> Mapping[str, str]:
    """What a node and a driver are started with."""
    return {
        # ray-security/token-auth. Ray listens on all addresses of a machine, even of a cluster of
        # one, and runs what anybody sends: so there is no cluster without a token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cluster.token_file),
        # ray-core/scheduling/ray-oom-prevention: the monitor kills actors once 95 % of memory are
        # in use. Pinned weights are most of it, on purpose and within --host-budget, and killing
        # an actor gives none of it back.
        "RAY_memory_monitor_refresh_ms": "0",
        # src/ray/common/ray_config_def.h: else a worker ends with its actor, and with it the clip
        # in hand and its weights, whenever the head is gone.
        "RAY_kill_child_processes_on_worker_exit": "0",
        "RAY_USAGE_STATS_ENABLED": "0",  # cluster/usage-stats
        "PYTHONPATH": str(tree),  # an actor imports ltx2_service
    }


def start_words(cluster: Cluster, name: str, *, head: bool) -> tuple[str, ...]:
    """Of `ray start`, which stays until the node ends, so that systemd can start it again."""
    host, port = cluster.endpoint
    words = [
        "start",
        "--block",
        f"--node-name={name}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        "--num-cpus=0",  # our actors ask for none, and no worker process is kept ready
        "--disable-usage-stats",
    ]
    if head:
        words += ["--head", f"--port={port}", f"--node-ip-address={host}"]
        words += ["--include-dashboard=false"]
    else:
        words += [f"--address={cluster.address}"]
    if cluster.card != CARD:
        words += ["--num-gpus=0", f"--resources={json.dumps({cluster.card: 1})}"]
    return tuple(words)
