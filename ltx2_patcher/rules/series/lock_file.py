"""lock.json <-> Lock, and patches/overlay.lock.json, which holds the overlay's part for all bases.

A base's lock.json leaves the overlay out; the lock of a tree (jobs/series/locks.py) is whole.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from ltx2_patcher.rules.series.fields import Field, Wrong, json_document
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.shown import shown
from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Lock, LockedPatch, Shared

_BLOB = re.compile(r"[0-9a-f]{40}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_REMEDY = "restore it with `git checkout -- patches`, or rewrite it with `ltx2-patcher export`"


def parse_lock(data: bytes, origin: str) -> Lock:
    """Read a lock; `origin` names the file in errors.

    Raises: InvalidError where a field is missing, of another type, or the groups do not stack.
    """
    try:
        lock = _lock(json_document(data))
    except Wrong as wrong:
        raise InvalidError(f"{origin} is not a lock: {wrong}", remedy=_REMEDY) from wrong
    if not lock.after or [g for g in GROUPS if g in lock.after] != list(lock.after):
        raise InvalidError(f"{origin} has groups that do not stack", remedy=_REMEDY)
    if fault := _faults(lock):
        raise InvalidError(f"{origin} is not a lock: {fault}", remedy=_REMEDY)
    return lock


def parse_base_lock(data: bytes, origin: str, overlay: Mapping[str, str]) -> Lock:
    """Read the lock of a base, which leaves the ids of the `overlay` to overlay.lock.json.

    Raises: InvalidError, as parse_lock, and where it holds other files than upstream's.
    """
    lock = parse_lock(data, origin)
    if added := sorted(lock.overlay):
        raise InvalidError(
            f"{origin} holds {added[0]}, which is no file of its base", remedy=_REMEDY
        )
    if taken := sorted(lock.before.keys() & overlay.keys()):
        raise InvalidError(f"{origin} holds {taken[0]}, which is the overlay's", remedy=_REMEDY)
    return with_overlay(lock, overlay)


def with_overlay(lock: Lock, overlay: Mapping[str, str]) -> Lock:
    """The lock with the ids of this overlay, as far as its groups take it, for the ones it has."""
    overlay = of_groups(overlay, lock.groups)
    after = {
        group: {path: blobs[path] for path in lock.before} | overlay
        for group, blobs in lock.after.items()
    }
    return replace(lock, after=after)


def parse_overlay_lock(data: bytes, origin: str) -> dict[str, str]:
    """Read patches/overlay.lock.json: path in upstream's tree -> git blob id.

    Raises: InvalidError where it is no such thing.
    """
    try:
        overlay = json_document(data).texts()
    except Wrong as wrong:
        raise InvalidError(f"{origin} is not a lock: {wrong}", remedy=_REMEDY) from wrong
    if bad := [p for p, blob in overlay.items() if not is_source(p) or not _BLOB.fullmatch(blob)]:
        raise InvalidError(
            f"{origin} is not a lock: {shown(bad[0])} has no blob id", remedy=_REMEDY
        )
    return overlay


def _faults(lock: Lock) -> str | None:
    """What a lock can't be, though its fields are all there."""
    states = (lock.before, *lock.after.values())
    if bad := [path for state in states for path in state if not is_source(path)]:
        return f"{shown(bad[0])} is outside packages/*/src"
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
            name: {"sha256": patch.sha256, "group": patch.group, **_of_shared(patch.shared)}
            for name, patch in lock.patches.items()
        },
        "before": dict(sorted(lock.before.items())),
        "after": {group: dict(sorted(blobs.items())) for group, blobs in lock.after.items()},
    }
    return json.dumps(raw, indent=1).encode() + b"\n"


def render_base_lock(lock: Lock) -> bytes:
    """lock.json of a base."""
    return render_lock(with_overlay(lock, {}))


def render_overlay_lock(overlay: Mapping[str, str]) -> bytes:
    """patches/overlay.lock.json."""
    return json.dumps(dict(sorted(overlay.items())), indent=1).encode() + b"\n"


def _lock(raw: Field) -> Lock:
    raw.only("base", "commit", "patches", "before", "after")
    return Lock(
        base=raw["base"].text(),
        commit=raw["commit"].text(),
        patches={name: _patch(item) for name, item in raw["patches"].items()},
        before=raw["before"].texts(),
        after={group: blobs.texts() for group, blobs in raw["after"].items()},
    )


def _patch(item: Field) -> LockedPatch:
    item.only("sha256", "group", "shared", "lines")
    group = item["group"]
    if group.text() not in GROUPS:
        raise group.wrong(f"one of {', '.join(GROUPS)}")
    return LockedPatch(item["sha256"].text(), group.text(), _shared(item))


def _shared(item: Field) -> Shared | None:
    if (form := item.get("shared")) is None:
        return None
    return Shared(form.text(), dict(_line(*each) for each in item["lines"].items()))


def _line(number: str, text: Field) -> tuple[int, bytes]:
    if not _NUMBER.fullmatch(number):
        raise Wrong(f"{text.key} is not named by the number of a line")
    try:
        line = text.text().encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise text.wrong("one line of a file") from error
    if b"\n" in line:
        raise text.wrong("one line of a file")
    return int(number), line


def _of_shared(shared: Shared | None) -> dict[str, object]:
    if shared is None:
        return {}
    lines = {
        str(number): line.decode("utf-8", "surrogateescape")
        for number, line in sorted(shared.lines.items())
    }
    return {"shared": shared.form, "lines": lines}
