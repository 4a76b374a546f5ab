"""The application: all routes behind one door."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.http import documents, errors, events, health, own, page, videos
from ltx2_service.http.context import Context
from ltx2_service.http.facade import Facade
from ltx2_service.http.security import Door
from ltx2_service.jobs.retaining import UPLOADS
from ltx2_service.rules.access import refuse_open_door
from ltx2_service.rules.offer import Offer
from ltx2_service.values.settings import Settings


def create_app(service: Facade, settings: Settings, offers: Sequence[Offer] = ()) -> FastAPI:
    """The application of a service that was started; it neither starts nor stops it.

    `offers` say what the page may ask the models for.

    Raises: UsageError, where other machines could reach it without a token.
    """
    refuse_open_door(settings)
    uploads = Uploads(settings.shared / UPLOADS, settings.limits.picture_pixels)
    context = Context(service, settings, uploads)
    app = FastAPI(
        title="LTX-2 video service",
        version="1",
        description="Text and pictures in, clips out.",
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
    )
    app.state.context = context
    metrics = health.Metrics(context)
    for router in (
        own.routes(context),
        events.routes(context),
        videos.routes(context),
        health.routes(context, metrics),
        page.routes(context, offers),
    ):
        app.router.routes += router.routes  # flat, so that a 405 can name a path's methods
    documents.install(app, *own.MODELS, *videos.MODELS)
    errors.install(app)
    app.add_middleware(Door, settings=settings)
    app.add_middleware(health.Counting, metrics=metrics)  # outside the door: refusals count too
    return app


def end_held(app: FastAPI) -> None:
    """Let event streams and waiting requests end, from any thread or signal handler.

    To be called when a shutdown begins: the server waits for them before it tells the application.
    """
    context: Context = app.state.context
    context.held.close()
