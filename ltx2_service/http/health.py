"""Probes and figures: /livez, /readyz, /metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx2_service.http.context import Context, off_loop

_STATES = ("starting", "idle", "running", "stopping", "lost")
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600)


class Live(BaseModel):
    """That the process answers."""

    alive: bool


class Ready(BaseModel):
    """Whether clips are taken and made, and if not why."""

    ready: bool
    why: str | None


class Metrics:
    """The figures of one application."""

    def __init__(self, context: Context) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Service(context))
        self._requests = Counter(
            "ltx2_http_requests", "Requests", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "ltx2_http_request_seconds",
            "Seconds until the answer began",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def counted(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer under its route's pattern: ids would make a series each."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if route != "none" else "any"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class Counting:
    """Counts what passes."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.counted(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_counted)


class _Service(Collector):
    """The queue and the cards, looked at when somebody asks."""

    def __init__(self, context: Context) -> None:
        self._service = context.service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures as they are now."""
        queue, cards = self._service.queue(), self._service.cards()
        yield GaugeMetricFamily("ltx2_ready", "Whether clips are taken and made", int(queue.ready))
        yield GaugeMetricFamily("ltx2_clips_queued", "Clips that wait", queue.waiting)
        yield GaugeMetricFamily("ltx2_clips_running", "Clips that are being made", queue.running)
        states = GaugeMetricFamily(
            "ltx2_worker_state", "1 for the state a worker is in", labels=["worker", "state"]
        )
        used = GaugeMetricFamily(
            "ltx2_gpu_memory_used_bytes", "Memory of a card in use", labels=["worker", "gpu"]
        )
        total = GaugeMetricFamily(
            "ltx2_gpu_memory_total_bytes", "Memory of a card", labels=["worker", "gpu"]
        )
        for card in cards:
            for state in _STATES:
                states.add_metric([card.worker, state], int(card.state == state))
            if card.used_bytes is not None:
                used.add_metric([card.worker, str(card.index)], card.used_bytes)
            if card.total_bytes is not None:
                total.add_metric([card.worker, str(card.index)], card.total_bytes)
        yield from (states, used, total)


def routes(context: Context, metrics: Metrics) -> APIRouter:
    """The probes, which need no token, and /metrics, which does."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", response_model=Live)
    async def livez() -> Response:
        """The process answers."""
        return JSONResponse({"alive": True})

    @router.get("/readyz", response_model=Ready, responses={503: {"model": Ready}})
    async def readyz() -> Response:
        """200 where clips are taken and made, 503 with a reason where not."""
        queue = await off_loop(context.service.queue)
        body = {"ready": queue.ready, "why": queue.why_not}
        return JSONResponse(body, 200 if queue.ready else 503)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def figures() -> Response:
        """Figures for Prometheus."""
        body = await off_loop(generate_latest, metrics.registry)
        return Response(body, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
