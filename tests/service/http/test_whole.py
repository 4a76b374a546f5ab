"""Both APIs over the service itself, whose workers are threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from ltx2_service.http.app import create_app
from ltx2_service.jobs.service import Service
from tests.service.conftest import Begin
from tests.service.fake_executor import FakeExecutor
from tests.service.http.conftest import picture
from tests.service.http.server import client_of, served, until
from tests.service.http.test_events import parsed


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def whole(begin: Begin, executor: FakeExecutor) -> Service:
    return begin(executor)


@pytest.fixture
def client(whole: Service) -> Iterator[httpx.Client]:
    with (
        served(create_app(whole, whole.settings)) as address,
        client_of(address) as client,
    ):
        yield client


def has_failed(client: httpx.Client, video: str) -> bool:
    return bool(client.get(f"/v1/videos/{video}").json()["status"] == "failed")


def test_a_clip_by_each_api(client: httpx.Client) -> None:
    told = client.post("/generate/text2video", json={"prompt": "A cat"}).json()
    assert told["success"]
    assert client.get(told["video_url"]).content.startswith(b"A cat")
    video = client.post("/v1/videos", json={"prompt": "A dog", "model": "fine"}).json()
    events = parsed(client.get(f"/v1/videos/{video['id']}/events").text)
    assert events[-1][1] == "completed"
    seen = client.get(f"/v1/videos/{video['id']}").json()
    assert (seen["status"], seen["model"], seen["error"]) == ("completed", "fine", None)
    assert client.get(f"/v1/videos/{video['id']}/content").content.startswith(b"A dog")
    listed = client.get("/v1/videos", params={"limit": 1}).json()
    assert (listed["first_id"], listed["has_more"]) == (video["id"], True)
    assert client.get("/v1/videos", params={"after": "video_0"}).status_code == 404


def test_cancel_delete_and_remix(client: httpx.Client, executor: FakeExecutor) -> None:
    executor.holds = True
    running, queued = (
        client.post("/v1/videos", json={"prompt": f"{at}", "seed": 5}).json()["id"]
        for at in range(2)
    )
    until(lambda: client.get(f"/v1/videos/{running}").json()["status"] == "in_progress")
    # The line moves up once the worker has the first, a moment after its row says so.
    until(lambda: client.get(f"/v1/videos/{queued}").json()["place"] == 0)
    for video in (queued, running):
        assert client.delete(f"/v1/videos/{video}").json()["deleted"] is False
        until(partial(has_failed, client, video))
        assert client.get(f"/v1/videos/{video}").json()["error"]["code"] == "cancelled"
    executor.let_go()
    remix = client.post(f"/v1/videos/{queued}/remix", json={"prompt": "y"}).json()
    assert (remix["seed"], remix["remixed_from_video_id"]) == (5, queued)
    assert client.delete(f"/v1/videos/{queued}").json()["deleted"] is True
    assert client.get(f"/v1/videos/{queued}").status_code == 404


def test_a_key_with_a_picture_makes_one_clip(client: httpx.Client, whole: Service) -> None:
    def ask(prompt: str) -> httpx.Response:
        return client.post(
            "/v1/videos",
            data={"prompt": prompt},
            files={"input_reference": picture()},
            headers={"Idempotency-Key": "k"},
        )

    whole_ids = {ask("x").json()["id"] for _ in range(3)}
    assert len(whole_ids) == 1
    assert ask("y").json()["error"]["code"] == "idempotency_key_taken"
    assert len([*(whole.settings.state / "uploads").iterdir()]) == 1


def test_many_posts_at_once_with_one_key_make_one_clip(client: httpx.Client) -> None:
    def ask(_: int) -> str:
        answer = client.post("/v1/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
        return str(answer.json()["id"])

    with ThreadPoolExecutor(20) as pool:
        videos = set(pool.map(ask, range(100)))
    listed = client.get("/v1/videos").json()["data"]
    assert [video["id"] for video in listed] == [*videos]


def test_without_a_worker_nobody_waits_for_nothing(
    client: httpx.Client, executor: FakeExecutor
) -> None:
    """A clip that is asked for and left stays; a client that would be held is told at once."""

    def ask(key: str) -> httpx.Response:
        asked = {"prompt": "A cat"}
        return client.post("/generate/text2video", json=asked, headers={"Idempotency-Key": key})

    before = ask("before").json()
    executor.lost = True
    assert client.get("/readyz").json() == {"ready": False, "why": "No worker is up."}
    video = client.post("/v1/videos", json={"prompt": "A dog"}).json()
    assert (video["status"], video["place"], video["seconds_left"]) == ("queued", 0, None)
    refused = ask("meanwhile")
    assert (refused.status_code, refused.json()["code"]) == (503, "no_worker")
    assert refused.headers["retry-after"] == "10"
    assert ask("before").json() == before  # it is there
    assert client.get("/list").json()["count"] == 2
    executor.lost = False
    assert parsed(client.get(f"/v1/videos/{video['id']}/events").text)[-1][1] == "completed"
    assert ask("meanwhile").json()["success"]


def test_what_the_service_does_not_have(client: httpx.Client) -> None:
    answer = client.post("/v1/videos", json={"prompt": "x", "model": "sora-2"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_not_found")
    answer = client.post("/generate/text2video", json={"prompt": "x", "gpu_id": 7})
    assert (answer.status_code, answer.json()["code"]) == (400, "gpu_not_found")
    assert client.get("/v1/videos/video_0").json()["error"]["code"] == "video_not_found"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "why": None})
