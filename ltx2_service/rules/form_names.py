"""Fields of a form whose names say where they belong, as OpenAI's client writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ltx2_service.values.request_faults import BadRequest

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_MOST_ENTRIES = 64  # of a list; nobody shows a clip more pictures


def nested(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """`a`, `a[b]`, `a[0][b]` and `a[][b]` as what JSON would hold.

    An `a[][b]` whose last entry has a `b` begins the next one. Raises: BadRequest.
    """
    whole: dict[str, Any] = {}
    for name, value in fields:
        matched = _NAME.fullmatch(name)
        if matched is None:
            raise _unreadable(name)
        steps = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
        _put(whole, steps, value, name)
    return {key: _listed(value, key) for key, value in whole.items()}


def _put(place: dict[str, Any], steps: list[str], value: Any, name: str) -> None:
    first, *rest = steps
    if first == "":
        first = str(_open_entry(place, rest))
    if not rest:
        if first in place:
            raise BadRequest(f"The field {name!r} comes twice.", remedy="Send it once.", param=name)
        place[first] = value
        return
    below = place.setdefault(first, {})
    if not isinstance(below, dict):
        raise _unreadable(name)
    _put(below, rest, value, name)


def _open_entry(place: dict[str, Any], rest: list[str]) -> int:
    """The entry of a list that a field without a number belongs to."""
    last = len(place) - 1
    entry = place.get(str(last))
    grows = rest and isinstance(entry, dict) and rest[0] not in entry
    return last if grows else last + 1


def _listed(value: Any, name: str) -> Any:
    """Where all keys are 0 to n-1, a list."""
    if not isinstance(value, dict):
        return value
    below = {key: _listed(one, name) for key, one in value.items()}
    if all(key.isdecimal() for key in below):
        if len(below) > _MOST_ENTRIES or set(below) != {str(at) for at in range(len(below))}:
            raise BadRequest(
                f"The entries of {name!r} are not numbered from 0 to at most {_MOST_ENTRIES - 1}.",
                remedy="Number them without a gap.",
                param=name,
            )
        return [below[str(at)] for at in range(len(below))]
    return below


def _unreadable(name: str) -> BadRequest:
    return BadRequest(
        f"The form's field {name!r} can't be read.",
        remedy="Name fields like seed, or images[0][frame].",
        param=name[:100],
    )
