"""An installed distribution's RECORD: path, sha256 and size of each file, one a line.

Format: the packaging specification "Recording installed projects" (CSV; urlsafe base64 without
padding). The paths of a series hold neither commas nor quotes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping


def update(record: bytes, contents: Mapping[str, bytes | None]) -> bytes:
    """`record` with the lines of these paths brought up to date; None takes a line out.

    New lines go to the front, so that taking them out gives the old bytes back. A line without a
    digest stays without one.
    """
    known = {line.split(b",")[0] for line in record.splitlines()}
    fresh = [
        _line(path, data)
        for path, data in sorted(contents.items())
        if data is not None and path.encode() not in known
    ]
    return b"".join(
        [*fresh, *(_updated(line, contents) for line in record.splitlines(keepends=True))]
    )


def _updated(line: bytes, contents: Mapping[str, bytes | None]) -> bytes:
    path, _, rest = line.partition(b",")
    name = path.decode("utf-8", "surrogateescape")
    if name not in contents:
        return line
    data = contents[name]
    if data is None:
        return b""
    if rest.strip() == b",":
        return line
    end = line[len(line.rstrip(b"\r\n")) :]
    return _line(name, data).removesuffix(b"\n") + end


def _line(path: str, data: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return b"%s,sha256=%s,%d\n" % (path.encode(), digest, len(data))
