"""Server-sent events of one clip."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from ltx2_service.http.app import create_app, end_held
from ltx2_service.values.job import Failure
from ltx2_service.values.settings import Settings
from tests.service.http.conftest import Serve
from tests.service.http.server import client_of, served, until
from tests.service.http.small_service import SmallService


def parsed(text: str) -> list[tuple[int, str, Any]]:
    """(number, kind, data) of each event."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line[1:])
        if "event" in fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


@pytest.fixture
def held(settings: Settings) -> SmallService:
    return SmallService(settings, holds=True)


def create(http: httpx.Client) -> str:
    video: str = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    return video


def test_they_come_as_they_happen_and_end_with_the_clip(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = create(http)
    with http.stream("GET", f"/v1/videos/{video}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        held.run(video)
        held.step(video, 1, 8)
        held.end(video)
        events = parsed(answer.read().decode())
    assert [number for number, _, _ in events] == [1, 2, 3, 4, 5]
    kinds = [kind for _, kind, _ in events]
    assert kinds == ["queued", "running", "progress", "preview", "completed"]
    assert events[2][2] == {"stage": "denoising", "step": 1, "steps": 8, "left_s": 2.0}
    assert events[3][2]["image"].startswith("data:image/webp;base64,")
    until(lambda: not held.wakes[video])


def test_a_client_goes_on_where_it_was(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = create(http)
    held.run(video)
    held.end(video, Failure("timeout", "Too long."))
    url = f"/v1/videos/{video}/events"
    rest = parsed(http.get(url, headers={"Last-Event-ID": "1"}).text)
    assert rest == [(2, "running", {"worker": "gpu0"}), (3, "failed", {"code": "timeout"})]
    assert parsed(http.get(url, headers={"Last-Event-ID": "3"}).text) == []
    for odd in ("-1", "x", "9" * 30, "²"):
        assert len(parsed(http.get(url, headers=[(b"Last-Event-ID", odd.encode())]).text)) == 3


def test_of_no_clip_there_are_none(http: httpx.Client) -> None:
    answer = http.get("/v1/videos/no/events")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "video_not_found")


def test_they_end_when_the_clip_is_deleted(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = create(http)
    with http.stream("GET", f"/v1/videos/{video}/events") as answer:
        lines = answer.iter_lines()
        while next(lines) != "event: queued":
            pass
        with held.lock:
            del held.rows[video]
            held._wake(video)
        assert "completed" not in "".join(lines)


def test_a_shutdown_ends_them(settings: Settings, held: SmallService) -> None:
    app = create_app(held, settings)
    with served(app) as address, client_of(address) as http:
        video = create(http)
        ended: list[str] = []
        reading = threading.Thread(
            target=lambda: ended.append(http.get(f"/v1/videos/{video}/events", timeout=20).text)
        )
        reading.start()
        until(lambda: held.wakes.get(video))
        end_held(app)
        reading.join()
    assert parsed(ended[0])[0][1] == "queued"


def test_a_client_that_left_is_forgotten(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = create(http)
    with http.stream("GET", f"/v1/videos/{video}/events") as answer:
        lines = answer.iter_lines()  # held, or its end hangs up
        next(lines)
        until(lambda: held.wakes.get(video))

    def noticed() -> bool:
        held.step(video, 1, 9)
        return not held.wakes[video]

    until(noticed)
