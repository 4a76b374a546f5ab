"""The table that a measurement on this card left, in the cache folder of the user."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltx_core.int8.tiles import Capability, Line, Table, Tile

_KERNELS = Path(__file__).with_name("kernels.py")
_logger = logging.getLogger(__name__)


def place(card: str, triton: str) -> Path:
    """Return the file of a card, by its name, a version of Triton and our kernels: another has other fastest tiles."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = named if named.is_absolute() else Path.home() / ".cache"
    kernels = hashlib.sha256(_KERNELS.read_bytes()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9.]+", "-", f"{card} triton {triton} {kernels}".lower()).strip("-")
    return home / "ltx2-patcher" / "int8" / f"{slug}.json"


def table_of(text: str, capability: Capability) -> Table:
    """Return the table that a report of a measurement holds.

    Raises: ValueError where it holds none, or one that such a card can't work with.
    """
    try:
        report = json.loads(text)
        lines = tuple(_line(line) for line in report["lines"])
        values = {int(channels): _count(count) for channels, count in report["row_values"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a table of tiles: {error!r}") from error
    for line in lines:
        if not line.tile.runs_on(capability):
            raise ValueError(f"a card of {capability} can't work in {line.tile}")
    return Table(lines, measured=True, row_values=values)


def table_at(path: Path, capability: Capability) -> Table | None:
    """Return the table kept in a file; None, and a warning, where the file is of no use, and None without one."""
    try:
        return table_of(path.read_text("utf-8"), capability)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _logger.warning("%s is not used: %s; `ltx2-patcher doctor --bench` writes it anew", path, error)
        return None


def keep(path: Path, report: dict[str, Any]) -> None:
    """Write a report, which holds the lines of a table, in one step. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        beside.write_text(f"{json.dumps(report, indent=1)}\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def as_json(line: Line) -> dict[str, Any]:
    """Return a line as a report has it."""
    return {"most_rows": line.most_rows, "width": line.width and list(line.width), "tile": asdict(line.tile)}


def _line(line: dict[str, Any]) -> Line:
    width, most = line["width"], line["most_rows"]
    if width is not None:
        out, into = width
        width = (_count(out), _count(into))
    shape = {**line["tile"]}
    bulk = shape.pop("bulk")
    if not isinstance(bulk, bool):
        raise ValueError(f"bulk of a tile is true or false, not {bulk!r}")
    return Line(
        None if most is None else _count(most),
        width,
        Tile(**{name: _count(value) for name, value in shape.items()}, bulk=bulk),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"a count is a positive whole number, not {value!r}")
    return value
