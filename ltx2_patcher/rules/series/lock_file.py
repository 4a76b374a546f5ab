"""lock.json <-> Lock."""

import json
import re

from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Lock, LockedPatch

_BLOB = re.compile(r"[0-9a-f]{40}")
_REMEDY = "restore it with `git checkout -- patches`, or rewrite it with `ltx2-patcher export`"


def parse_lock(data: bytes, origin: str) -> Lock:
    """Read a lock; `origin` names the file in errors.

    Raises: InvalidError where a field is missing, of another type, or the groups do not stack.
    """
    try:
        raw = json.loads(data)
        lock = Lock(
            base=_text(raw["base"]),
            commit=_text(raw["commit"]),
            patches={
                _text(name): LockedPatch(_text(item["sha256"]), _text(item["group"]))
                for name, item in raw["patches"].items()
            },
            before=_texts(raw["before"]),
            after={group: _texts(blobs) for group, blobs in raw["after"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(f"{origin} is not a lock: {error!r}", remedy=_REMEDY) from error
    if not lock.after or [g for g in GROUPS if g in lock.after] != list(lock.after):
        raise InvalidError(f"{origin} has groups that do not stack", remedy=_REMEDY)
    if wrong := _faults(lock):
        raise InvalidError(f"{origin} is not a lock: {wrong}", remedy=_REMEDY)
    return lock


def _faults(lock: Lock) -> str | None:
    """What a lock can't be, though its fields are all there."""
    states = (lock.before, *lock.after.values())
    if bad := [path for state in states for path in state if not is_source(path)]:
        return f"{bad[0]!r} is outside packages/*/src"
    if not all(_BLOB.fullmatch(blob) for state in states for blob in state.values()):
        return "a blob id is not 40 hex digits"
    if any(state.keys() != lock.after[lock.groups[-1]].keys() for state in lock.after.values()):
        return "its groups hold different files"
    if not lock.before.keys() <= lock.after[lock.groups[-1]].keys():
        return "a file of the base is in no group"
    return None


def render_lock(lock: Lock) -> bytes:
    """The same lock gives the same bytes on every machine."""
    raw = {
        "base": lock.base,
        "commit": lock.commit,
        "patches": {
            name: {"sha256": patch.sha256, "group": patch.group}
            for name, patch in lock.patches.items()
        },
        "before": dict(sorted(lock.before.items())),
        "after": {group: dict(sorted(blobs.items())) for group, blobs in lock.after.items()},
    }
    return json.dumps(raw, indent=1).encode() + b"\n"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return {_text(key): _text(item) for key, item in value.items()}
