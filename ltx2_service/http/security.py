"""The door: who may come in, with how much, and what browsers may do with the answers.

Plain ASGI: a middleware of functions would hide from the routes that a client has left.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx2_service.http.errors import answer
from ltx2_service.rules.access import foreign_page, needs_token, owner_of
from ltx2_service.rules.faults import fault_of
from ltx2_service.values.refusals import ServiceRefusal
from ltx2_service.values.request_faults import BodyTooLarge, SlowBody
from ltx2_service.values.settings import Settings

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Door:
    """Refuses strangers, foreign pages, and bodies that are too large or too slow."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or answer it with its refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            scope.setdefault("state", {})["owner"] = self._owner(scope)
        except ServiceRefusal as refusal:
            await answer(scope["path"], fault_of(refusal))(scope, receive, send_safely)
            return
        await self._app(scope, self._within_limits(receive), send_safely)

    def _owner(self, scope: Scope) -> str | None:
        """The name of the request's token; None where none is asked. Raises: ServiceRefusal."""
        headers, tokens = Headers(scope=scope), self._settings.tokens
        if foreign := foreign_page(scope["method"], headers, checks_host=not tokens):
            raise foreign
        length, limit = headers.get("content-length", ""), self._settings.limits.body_bytes
        if length.isdecimal() and int(length) > limit:
            raise BodyTooLarge(limit)
        if not tokens or not needs_token(scope["path"]):
            return None
        return owner_of(tokens, headers.get("authorization"))

    def _within_limits(self, receive: Receive) -> Receive:
        """`receive` that raises BodyTooLarge and SlowBody while a body is read."""
        limits = self._settings.limits
        loop = asyncio.get_running_loop()
        ends, read, whole = loop.time() + limits.body_s, 0, False

        async def receive_some() -> Message:
            nonlocal read, whole
            if whole:  # what comes now is that the client leaves
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError as error:
                raise SlowBody(limits.body_s) from error
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > limits.body_bytes:
                raise BodyTooLarge(limits.body_bytes)
            return message

        return receive_some
