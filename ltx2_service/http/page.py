"""The page at `/`, its files, and what it asks the service beside the public API.

GET /             the page
GET /static/NAME  its styles, modules and icon
GET /v1/service   models, cards and queue
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from ltx2_service.http.context import Context, off_loop
from ltx2_service.rules.offer import Offer
from ltx2_service.values.request_faults import NoSuchRoute
from ltx2_service.values.told import Card, QueueState

FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Clips and previews come as bytes that the page has fetched: blob: and data:. No other host, no
# script or style but in files, no page that shows this one in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class ServiceState(BaseModel):
    """What `GET /v1/service` answers."""

    object: Literal["service"]
    models: list[Offer]
    cards: list[Card]
    queue: QueueState


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    headers: dict[str, str]


def routes(context: Context, offers: Sequence[Offer]) -> APIRouter:
    """The page of a service whose models offer that."""
    router = APIRouter(tags=["page"])
    service = context.service
    files = {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in _TYPES}
    models = [asdict(offer) for offer in offers]

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _answer(files["index.html"], request)

    @router.get("/static/{name}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        if name not in files:
            raise NoSuchRoute(404, request.method, request.url.path)
        return _answer(files[name], request)

    @router.get("/v1/service", response_model=ServiceState)
    async def told() -> Response:
        """What can be asked for, the cards, and what is under way."""
        cards, queue = await off_loop(service.cards), await off_loop(service.queue)
        return JSONResponse(
            {
                "object": "service",
                "models": models,
                "cards": [asdict(card) for card in cards],
                "queue": asdict(queue),
            }
        )

    return router


def _read(path: Path) -> _File:
    data = path.read_bytes()
    return _File(
        data,
        {
            "Content-Type": _TYPES[path.suffix],
            "Content-Security-Policy": _POLICY,
            "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"',
            # Asked for again each time, and answered with nothing where it is the same: an
            # upgrade never mixes modules.
            "Cache-Control": "no-cache",
        },
    )


def _answer(file: _File, request: Request) -> Response:
    if request.headers.get("if-none-match") == file.headers["ETag"]:
        return Response(status_code=304, headers=file.headers)
    return Response(file.data, headers=file.headers)
