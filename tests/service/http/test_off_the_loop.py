"""What takes long with one request lets others be answered: here it waits until one was."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import AfterValidator, BaseModel
from starlette.responses import JSONResponse, Response

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.http import bodies
from ltx2_service.http.context import Context
from ltx2_service.values.job import Job, Wanted
from ltx2_service.values.settings import Settings
from tests.service.http.conftest import Serve, picture
from tests.service.http.server import served, until
from tests.service.http.small_service import SmallService

THREADS = 40  # anyio's, for all calls of an application
PATIENCE_S = 20.0  # only a loop that stands still meets it
URL = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"


class Gate:
    """Something under way, which goes on once another request was answered."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S), "nobody else was answered meanwhile"

    def open_by(self, http: httpx.Client, path: str) -> None:
        """Once it is under way."""
        assert self.reached.wait(PATIENCE_S)
        self.look(http, path)
        self.opened.set()

    def look(self, http: httpx.Client, path: str) -> None:
        assert http.get(path).status_code == 200


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_body_is_understood(
    service: SmallService, settings: Settings, beside: ThreadPoolExecutor, kind: str
) -> None:
    gate = Gate()

    def wait(text: str) -> str:
        gate.pass_()
        return text

    class Slow(BaseModel):
        text: Annotated[str, AfterValidator(wait)]

    app = FastAPI()
    app.state.context = Context(service, settings, Uploads(settings.state, 1))

    @app.post("/json")
    async def json(request: Request) -> Response:
        return JSONResponse((await bodies.json_of(request, Slow)).text)

    @app.post("/form")
    async def form(request: Request) -> Response:
        return JSONResponse((await bodies.form_of(request, Slow)).text)

    @app.get("/other")
    async def other() -> Response:
        return JSONResponse(None)

    with served(app) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as http:
        body = {"json": {"text": "x"}} if kind == "json" else {"files": {"text": (None, "x")}}
        answer: Future[httpx.Response] = beside.submit(http.post, f"/{kind}", **body)
        gate.open_by(http, "/other")
        assert answer.result().json() == "x"


class Slow(SmallService):
    """Its thumbnails wait."""

    gate: Gate
    looked = 0  # for a job

    def job(self, job_id: str) -> Job:
        with self.lock:
            self.looked += 1
        return super().job(job_id)

    def thumbnail(self, job: Job) -> Path:
        self.gate.pass_()
        assert job.clip
        path = job.clip.with_suffix(".webp")
        with self.lock:
            return path if path.is_file() else super().thumbnail(job)


def test_many_files_are_made_of_clips(settings: Settings, serve: Serve) -> None:
    """More than there are threads for all calls."""
    service = Slow(settings)
    service.gate = Gate()
    http = serve(service)
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    until(lambda: service.job(video).state.is_end)
    service.looked = 0
    path = f"/v1/videos/{video}/content?variant=thumbnail"
    with ThreadPoolExecutor(THREADS + 5) as crowd:
        answers = [crowd.submit(http.get, path) for _ in range(THREADS + 5)]
        until(lambda: service.looked >= len(answers))
        for _ in range(10):
            service.gate.look(http, "/list")
        service.gate.open_by(http, "/list")
        assert {answer.result().status_code for answer in answers} == {200}


class Gated(SmallService):
    """A clip is taken in the thread that has read its pictures."""

    gate: Gate

    def accept(self, wanted: Wanted) -> tuple[Job, bool]:
        self.gate.pass_()
        return super().accept(wanted)


def test_pictures_are_decoded(settings: Settings, serve: Serve, beside: ThreadPoolExecutor) -> None:
    service = Gated(settings)
    service.gate = Gate()
    http = serve(service)
    body = {"prompt": "x", "images": [{"image_url": URL}]}
    answer = beside.submit(http.post, "/v1/videos", json=body)
    service.gate.open_by(http, "/livez")
    assert len(answer.result().json()["pictures"]) == 1
