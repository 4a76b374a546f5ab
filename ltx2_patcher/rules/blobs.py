"""Git's content ids, computed without git."""

from hashlib import sha1


def blob_id(content: bytes) -> str:
    """The id git gives to a blob of `content`: SHA-1 over "blob <size>\\0" and the bytes."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
