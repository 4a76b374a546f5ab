"""Names in a cluster: of its machines, and of what is ours there. Pure."""

from __future__ import annotations

import hashlib
import re

from ltx2_service.values.settings import Cluster

_ODD = re.compile(r"[^A-Za-z0-9._-]")


def machine_name(said: str) -> str:
    """A name that files can have, of a machine by what it calls itself."""
    return _ODD.sub("_", said).lstrip(".") or "node"


def worker_name(machine: str | None, index: int) -> str:
    """Of a card by nvidia-smi's index; None where there is one machine alone."""
    return f"gpu{index}" if machine is None else f"{machine}-gpu{index}"


def namespace_of(cluster: Cluster) -> str:
    """Ray's namespace of a service: of the folder that it shares, so that two on one cluster don't
    take each other's actors.
    """
    return "ltx2-" + hashlib.sha256(str(cluster.shared).encode()).hexdigest()[:16]
