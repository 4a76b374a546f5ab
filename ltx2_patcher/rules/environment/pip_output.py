"""What pip's output says of why it failed."""

from __future__ import annotations

import re

from ltx2_patcher.rules.shown import cut

_SAID = 200
_INDEXES = re.compile(r"^Looking in indexes: (.+)$", re.MULTILINE)
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")
_NO_CONNECTION = re.compile(
    r"NewConnectionError|NameResolutionError|Connect(?:ion)?TimeoutError|ReadTimeoutError|"
    r"ProxyError|SSLError|ProtocolError|Max retries exceeded|IncompleteRead"
)
_WHY = re.compile(
    r"Connection refused|Connection reset by peer|Network is unreachable|No route to host|"
    r"Name or service not known|Temporary failure in name resolution|timed out|"
    r"certificate verify failed|Tunnel connection failed[^'\"]*|IncompleteRead"
)
_IDLE = re.compile(r"\[notice\]|WARNING: |DEPRECATION: |hint: |note: |Traceback |ERROR: Exception:")


def last_word(output: str) -> str:
    """The last line that says something of a failure: pip's own error, else what ended it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not _IDLE.match(line)]
    errors = [line for line in telling if line.startswith("ERROR: ")]
    crashed = any(line.startswith("Traceback ") for line in lines)
    last = (telling if crashed else errors or telling or lines or ["it said nothing"])[-1]
    return cut(last.removeprefix("ERROR: "), _SAID)


def lost_connection(output: str) -> str | None:
    """Where and why pip got no connection, in words; None where that was not what stopped it."""
    if not _NO_CONNECTION.search(output):
        return None
    asked = _INDEXES.search(output)
    index = _CREDENTIALS.sub("", asked[1]) if asked else "the package index"
    why = _WHY.findall(output)
    return cut(f"{index} can't be reached" + (f" ({why[-1]})" if why else ""), _SAID)
