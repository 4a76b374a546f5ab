"""Who may ask: tokens, and which pages a browser may ask from. Pure."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from ltx2_patcher.values.errors import UsageError
from ltx2_service.values.refusals import ServiceRefusal
from ltx2_service.values.request_faults import ForeignPage, NoToken
from ltx2_service.values.settings import Settings

_OPEN = {"/", "/favicon.ico", "/health", "/livez", "/readyz", "/openapi.json"}
_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}


def refuse_open_door(settings: Settings) -> None:
    """A service that other machines reach needs a token. Raises: UsageError."""
    if not settings.tokens and not is_loopback(settings.host):
        raise UsageError(
            f"The service would answer anybody who reaches {settings.host}.",
            remedy="Give it a token in serve.toml, or the host 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def needs_token(path: str) -> bool:
    """Whether a path tells or does what is not for everybody: probes and the page's files are."""
    return path not in _OPEN and not path.startswith("/static/")


def owner_of(tokens: Mapping[str, str], authorization: str | None) -> str:
    """The name of the token of a header `Authorization: Bearer ...`. Raises: NoToken.

    All tokens are compared, in constant time, so that none is found letter by letter. A header's
    bytes come as Latin-1, whatever they were written in.
    """
    scheme, _, sent = (authorization or "").partition(" ")
    owners = [
        owner
        for token, owner in tokens.items()
        if hmac.compare_digest(token.encode(), sent.encode("latin-1", "replace"))
    ]
    if scheme.lower() != "bearer" or not owners:
        raise NoToken
    return owners[0]


def foreign_page(
    method: str, headers: Mapping[str, str], *, checks_host: bool
) -> ServiceRefusal | None:
    """Why a request can't be one of the service's own page or of a client that is no browser.

    Any page in a browser can post to a service on localhost: its Origin tells. One whose name was
    made to point at 127.0.0.1 has its own Origin: `checks_host` where no token stands between.
    """
    host = headers.get("host", "")
    if checks_host and not is_loopback(_name(host)):
        return ForeignPage("Host", host)
    if method in _CHANGES:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return ForeignPage("Origin", origin)
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            return ForeignPage("Sec-Fetch-Site", headers["sec-fetch-site"])
    return None


def _name(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
