"""How results are shown: JSON for programs, plain lines for people.

Imported by every verb, so it imports nothing slow itself.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself is slow to import; type checkers know this name
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable


def show(args: Namespace, value: object, lines: Iterable[str]) -> None:
    """Print `value` as JSON where that was asked for, else `lines`."""
    if args.json:
        import json

        print(json.dumps(plain(value), indent=1))
    else:
        for line in lines:
            print(line)


def plain(value: object) -> object:
    """A value of ours as JSON takes it."""
    from collections.abc import Mapping
    from dataclasses import fields, is_dataclass
    from enum import Enum
    from pathlib import Path

    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value
