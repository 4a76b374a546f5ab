"""Git's content ids, computed without git."""

from collections.abc import Mapping
from hashlib import sha1


def blob_id(content: bytes) -> str:
    """The id git gives a blob: SHA-1 over "blob <size>", a zero byte and the content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def blob_ids(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The id of each file's content, by its path."""
    return {path: blob_id(content) for path, content in contents.items()}
