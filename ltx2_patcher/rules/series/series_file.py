"""The `series` file: patches in order, one a line; `#` starts a comment.

A patch of the base's own stands there by its name, a shared one by its place in patches/:
shared/FORM/NAME.
"""

import re

from ltx2_patcher.rules.shown import cut, shown
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Lock

SHARED = "shared"
"""The folder of patches/ that holds the shared files."""

_NAME = re.compile(r"(?:shared/[0-9A-Za-z]+(?:[._-][0-9A-Za-z]+)*/)?[a-z0-9][a-z0-9_]*\.patch")


def parse_series(data: bytes, origin: str) -> tuple[str, ...]:
    """The entries in order; `origin` names the file in errors.

    Raises: InvalidError for one that is not plain, stands twice, or bytes that are not ASCII.
    """
    remedy = "restore it with `git checkout -- patches`"
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidError(f"{origin} is not plain text", remedy=remedy) from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidError(f"{origin}: {shown(name)} is not a patch name", remedy=remedy)
    plain = [name.rpartition("/")[2] for name in names]
    if twice := sorted({name for name in plain if plain.count(name) > 1}):
        raise InvalidError(f"{origin}: {cut(', '.join(twice), 200)} stands twice", remedy=remedy)
    return tuple(names)


def entries(lock: Lock) -> tuple[str, ...]:
    """What the series file of a lock must name."""
    return tuple(
        f"{SHARED}/{patch.shared.form}/{name}" if patch.shared else name
        for name, patch in lock.patches.items()
    )


def render_series(names: tuple[str, ...]) -> bytes:
    """The bytes that parse_series reads back."""
    return "".join(f"{name}\n" for name in names).encode("ascii")
