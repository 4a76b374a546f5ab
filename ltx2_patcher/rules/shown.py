"""How a value that somebody wrote is shown in a sentence: as JSON spells it, and never long."""

from __future__ import annotations

import json

MOST = 60
"""Characters of a value that a sentence shows; what is damaged can be a whole file."""


def shown(value: object) -> str:
    """A value as its file spells it, in plain ASCII, cut where it is long."""
    return cut(json.dumps(value, default=str))


def cut(text: str, most: int = MOST) -> str:
    """The text, or its first part where it is longer than `most`."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
