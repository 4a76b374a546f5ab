"""Pictures inside a request's text."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

from ltx2_service.values.request_faults import BadPicture

_PIECE = 1 << 20  # characters; a multiple of 4


def bytes_of(url: str, param: str) -> bytes:
    """What a data: URL holds. Raises: BadPicture, for every other address too.

    Nothing is fetched: an address may lie inside the network that the service stands in.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "data":
        raise BadPicture(
            "Pictures are not fetched from addresses.",
            remedy="Send the picture as a file of a form, or as a data: URL.",
            param=param,
        )
    head, _, body = rest.partition(",")
    if not head.lower().endswith(";base64"):
        raise _unreadable(param)
    try:
        return _decoded(unquote_to_bytes(body) if "%" in body else body.encode("ascii"))
    except ValueError as error:
        raise _unreadable(param) from error


def _decoded(text: bytes) -> bytes:
    """The bytes of base64, piece by piece: Python lets no other thread run within one.

    Raises: ValueError.
    """
    if text.find(b"=", 0, -2) != -1:
        raise ValueError("it ends in between")
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)


def _unreadable(param: str) -> BadPicture:
    return BadPicture(
        "A data: URL can't be read.", remedy="Write it as data:image/png;base64,BYTES", param=param
    )
