"""Pictures inside a request's text."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from ltx2_service.values.request_faults import BadPicture


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
        return base64.b64decode(unquote_to_bytes(body), validate=True)
    except (ValueError, binascii.Error) as error:
        raise _unreadable(param) from error


def _unreadable(param: str) -> BadPicture:
    return BadPicture(
        "A data: URL can't be read.", remedy="Write it as data:image/png;base64,BYTES", param=param
    )
