"""The file that a rebase under way is kept in <-> Rebase."""

from __future__ import annotations

import json

from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.rebasing import Outcome, Rebase, SettledPatch, Stop, StopReason


def parse_rebase(data: bytes, origin: str) -> Rebase:
    """Read one; `origin` names the file in errors. Raises: InvalidError for anything else."""
    try:
        raw = json.loads(data)
        stop = raw["stop"]
        return Rebase(
            name=str(raw["name"]),
            source=str(raw["source"]),
            patches={str(name): str(digest) for name, digest in raw["patches"].items()},
            onto=str(raw["onto"]),
            date=str(raw["date"]),
            tip=str(raw["tip"]),
            settled=tuple(SettledPatch(str(p), Outcome(outcome)) for p, outcome in raw["settled"]),
            stop=stop and Stop(StopReason(stop["reason"]), stop["tree"], tuple(stop["reused"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(
            f"{origin} is not the record of a rebase",
            remedy="remove it and begin again; the commits so far are at the refs below "
            "refs/ltx2-patcher/rebase/ of vendor/upstream.git",
        ) from error


def render_rebase(rebase: Rebase) -> bytes:
    """The bytes that parse_rebase reads back."""
    stop = rebase.stop
    raw = {
        "name": rebase.name,
        "source": rebase.source,
        "patches": dict(rebase.patches),
        "onto": rebase.onto,
        "date": rebase.date,
        "tip": rebase.tip,
        "settled": [[item.patch, item.outcome.value] for item in rebase.settled],
        "stop": stop
        and {"reason": stop.reason.value, "tree": stop.tree, "reused": list(stop.reused)},
    }
    return json.dumps(raw, indent=1).encode() + b"\n"
