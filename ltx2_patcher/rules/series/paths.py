"""Which paths of upstream's tree a series may touch."""

import re

_PATH = re.compile(r"packages/[a-z0-9-]+/src/[A-Za-z0-9_./-]+")


def is_source(path: str) -> bool:
    """Whether `path` is plain, relative, and lies in a package's sources: packages/*/src/..."""
    parts = path.lower().split("/")  # some file systems know no case
    return bool(_PATH.fullmatch(path)) and not {"..", ".", ".git", ""} & set(parts)
