"""The socket that the service listens on, and what is asked of one that runs."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from collections.abc import Mapping

from ltx2_patcher.values.errors import BusyError, OutsideError, PatcherError, UsageError

_BACKLOG = 2048
_ANSWER_S = 10.0
_EVERY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only looked up
"""Addresses that stand for all of this machine's -> the one that it reaches itself by."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free.

    Raises: BusyError where something listens there already, UsageError for a host that is none
    of this machine's, OutsideError for a port that takes more rights.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where a socket says that it is TCP: else each answer
    # on a connection that is kept waits 40 ms for the client's word that it has the one before.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise _refusal(error, host, port) from error
    return made


def port_of(listening: socket.socket) -> int:
    """The port that it got."""
    port: int = listening.getsockname()[1]
    return port


def url_of(host: str, port: int) -> str:
    """The address that this machine opens a page of it by."""
    name = _EVERY.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def ask(host: str, port: int, path: str, token: str | None = None) -> tuple[int, object]:
    """The status and the JSON that a service answers; None where it is no JSON.

    Raises: OutsideError where nothing answers within 10 s.
    """
    connection = http.client.HTTPConnection(_EVERY.get(host, host), port, timeout=_ANSWER_S)
    headers: Mapping[str, str] = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise OutsideError(
            f"nothing answers on {url_of(host, port)}: {error}",
            remedy="see the log in the state folder, or start it: ltx2-patcher serve start",
        ) from error
    finally:
        connection.close()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, None


def _refusal(error: OSError, host: str, port: int) -> PatcherError:
    match error.errno:
        case errno.EADDRINUSE:
            return BusyError(
                f"another program listens on {host}, port {port}",
                remedy="end it, or give another with --port",
            )
        case errno.EACCES | errno.EPERM:
            return OutsideError(
                f"port {port} takes more rights than this user has",
                remedy="give one from 1024 on with --port",
            )
        case _:
            return UsageError(
                f"{host} is no address of this machine ({error.strerror})",
                remedy="listen on 127.0.0.1, or on 0.0.0.0 for all addresses",
            )
