"""Git's content ids, computed without git."""

from hashlib import sha1


def blob_id(content: bytes) -> str:
    """The id git gives a blob: SHA-1 over "blob <size>", a zero byte and the content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
