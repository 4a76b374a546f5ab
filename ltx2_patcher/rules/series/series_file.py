"""The `series` file: patch names in order, one a line; `#` starts a comment."""

import re

from ltx2_patcher.values.errors import InvalidError

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*\.patch")


def parse_series(data: bytes, origin: str) -> tuple[str, ...]:
    """The names in order; `origin` names the file in errors.

    Raises: InvalidError for a name that is not plain, stands twice, or bytes that are not ASCII.
    """
    remedy = "restore it with `git checkout -- patches`"
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidError(f"{origin} is not plain text", remedy=remedy) from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidError(f"{origin}: {name!r} is not a patch name", remedy=remedy)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidError(f"{origin}: {', '.join(twice)} stands twice", remedy=remedy)
    return tuple(names)


def render_series(names: tuple[str, ...]) -> bytes:
    """The bytes that parse_series reads back."""
    return "".join(f"{name}\n" for name in names).encode("ascii")
