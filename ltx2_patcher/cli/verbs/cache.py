"""List the weights that scripts keep on disk, or in a folder that they share; clear them."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, path
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from ltx2_patcher.boundaries.copies import StoredCopy
    from ltx2_patcher.jobs.models.cache import Cache

_STATES = {
    (True, True): "in use",
    (True, False): "not in use",
    (False, True): "being made",
    (False, False): "left half made",
}
"""By whether a copy is whole, and whether a process holds it."""


def options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        type=path,
        metavar="FOLDER",
        help="what a script was given as --weights-folder (default: the cache of your home)",
    )
    parser.add_argument("--clear", action="store_true", help="remove what no process uses")
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.models.cache import clear, look_at

    folder = args.folder or _of_home()
    cache = clear(folder) if args.clear else look_at(folder)
    show(args, cache, _lines(cache, cleared=args.clear))
    return 0


def _of_home() -> Path:
    """Where scripts keep what host memory has no room for, by the rules of XDG."""
    import os
    from pathlib import Path

    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = named if named.is_absolute() else Path.home() / ".cache"
    return home / "ltx2-patcher/weights"


def _lines(cache: Cache, *, cleared: bool) -> Iterator[str]:
    from datetime import UTC, datetime

    from ltx2_patcher.rules.size import in_words

    if cleared:
        yield f"cleared {_counted(cache.cleared)}"
    yield f"{cache.folder}: {_counted(cache.copies)}"
    for copy in cache.copies:
        used = datetime.fromtimestamp(copy.used_s, UTC).astimezone()
        state = _STATES[copy.whole, copy.held]
        size = in_words(copy.bytes)
        yield f"  {copy.model:<24} {size:>10}  {used:%Y-%m-%d %H:%M}  {state}"


def _counted(copies: tuple[StoredCopy, ...]) -> str:
    from ltx2_patcher.rules.size import in_words

    if not copies:
        return "no weights"
    models = "1 model" if len(copies) == 1 else f"{len(copies)} models"
    return f"{models}, {in_words(sum(copy.bytes for copy in copies))}"
