"""The fields of a JSON or TOML document, each read as the type that it must have.

What is wrong is told by key, as its file spells it; whoever reads a file names it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from ltx2_patcher.rules.shown import cut, shown

_PLACE = "(at "  # TOML's errors end with the line and column


class Wrong(Exception):
    """What is wrong with a document, in words."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a document, and the key at which it stands: "patches.x.patch.sha256"."""

    key: str  # "" is the whole document
    value: object

    def __getitem__(self, name: str) -> Field:
        """The field of that name. Raises: Wrong where it is missing, or this is no table."""
        if (found := self.get(name)) is None:
            raise Wrong(f"{self._below(name)} is missing")
        return found

    def get(self, name: str) -> Field | None:
        """The field of that name, if it is there. Raises: Wrong where this is no table."""
        table = self._table()
        return Field(self._below(name), table[name]) if name in table else None

    def items(self) -> Iterator[tuple[str, Field]]:
        """Every name with its field. Raises: Wrong where this is no table."""
        for name, value in self._table().items():
            yield name, Field(self._below(name), value)

    def text(self) -> str:
        """Raises: Wrong where it is none."""
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return self.value

    def texts(self) -> dict[str, str]:
        """A table of texts. Raises: Wrong where it is none."""
        return {name: field.text() for name, field in self.items()}

    def list(self) -> list[Field]:
        """Raises: Wrong where it is none."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [Field(f"{self.key}[{n}]", value) for n, value in enumerate(self.value)]

    def only(self, *names: str) -> None:
        """Raises: Wrong where it has a field of any other name, or this is no table."""
        for name, field in self.items():
            if name not in names:
                raise Wrong(f"{field.key} is no key that belongs there ({', '.join(names)})")

    def wrong(self, wanted: str) -> Wrong:
        """What to say where it is not what is wanted."""
        return Wrong(f"{self.key or 'it'} is {shown(self.value)}, not {wanted}")

    def _table(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.wrong("a table")
        return self.value

    def _below(self, name: str) -> str:
        plain = name if name.isascii() and name.isprintable() and " " not in name else shown(name)
        return f"{self.key}.{cut(plain)}" if self.key else cut(plain)


def json_document(data: bytes) -> Field:
    """Raises: Wrong where it is no JSON."""
    try:
        return Field("", json.loads(_text(data)))
    except json.JSONDecodeError as error:
        raise Wrong(f"it is no JSON at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise Wrong("it is nested too deeply") from error
    except ValueError as error:
        raise Wrong("a number in it has too many digits") from error


def toml_document(data: bytes) -> Field:
    """Raises: Wrong where it is no TOML."""
    try:
        return Field("", tomllib.loads(_text(data)))
    except tomllib.TOMLDecodeError as error:
        _, found, place = str(error).rpartition(_PLACE)
        raise Wrong(
            f"it is no TOML at {place.rstrip(')')}" if found else "it is no TOML"
        ) from error
    except RecursionError as error:
        raise Wrong("it is nested too deeply") from error
    except ValueError as error:
        raise Wrong("a number or date in it can't be") from error


def _text(data: bytes) -> str:
    if not data.strip():
        raise Wrong("it is empty")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Wrong(f"it is no text: byte {error.start} is not UTF-8") from error
