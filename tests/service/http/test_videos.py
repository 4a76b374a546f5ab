"""OpenAI's videos API, route by route."""

from __future__ import annotations

import base64
import io
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from ltx2_service.boundaries.uploads import Uploads
from ltx2_service.values.job import State
from ltx2_service.values.settings import Limits, Settings
from tests.service.http.conftest import Serve, picture
from tests.service.http.server import until
from tests.service.http.small_service import CLIP, TAGGED, SmallService


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


@pytest.fixture
def held(settings: Settings) -> SmallService:
    return SmallService(settings, holds=True)


def test_create_gives_a_video_object(serve: Serve, held: SmallService) -> None:
    asked = {"prompt": "A cat", "model": "small", "seconds": "8", "size": "768x512"}
    answer = serve(held).post("/v1/videos", json=asked)
    assert answer.status_code == 200
    assert answer.headers["openai-poll-after-ms"] == "250"
    video = answer.json()
    assert re.fullmatch(r"video_[0-9a-f]{32}", video["id"])
    assert {key: video[key] for key in asked} == asked
    assert (video["object"], video["status"], video["progress"]) == ("video", "queued", 0)
    assert (video["num_frames"], video["frame_rate"], video["place"]) == (193, 24.0, 0)
    for key in ("completed_at", "expires_at", "error", "remixed_from_video_id"):
        assert video[key] is None


def test_what_openai_has_no_word_for(http: httpx.Client, service: SmallService) -> None:
    asked = {
        "prompt": "A cat",
        "seconds": 2,
        "frame_rate": 30,
        "seed": 9,
        "negative_prompt": "blur",
        "num_inference_steps": 20,
        "enhance": True,
        "gpu_id": 1,
        "priority": 5,
        "input_reference": {"image_url": data_url(picture())},
        "images": [{"image_url": data_url(picture("JPEG")), "frame": 24, "strength": 0.5}],
    }
    video = http.post("/v1/videos", json=asked).json()
    wanted = service.job(video["id"]).wanted
    assert (wanted.seed, wanted.negative_prompt, wanted.steps) == (9, "blur", 20)
    assert (wanted.enhance_prompt, wanted.gpu, wanted.priority) == (True, 1, 5)
    assert (wanted.num_frames, wanted.frame_rate, video["seconds"]) == (65, 30.0, "2")
    assert [(one.frame, one.strength) for one in wanted.pictures] == [(0, 1.0), (24, 0.5)]
    assert all(one.path.is_file() for one in wanted.pictures)


def test_a_form_says_the_same(http: httpx.Client, service: SmallService) -> None:
    form = {
        "prompt": "A cat",
        "seconds": "4",
        "seed": "9",
        "enhance": "true",
        "images[0][frame]": "16",
        "images[0][strength]": "0.25",
        "images[1][image_url]": data_url(picture()),
        "images[1][frame]": "32",
    }
    files = {
        "input_reference": ("upload", picture("WEBP"), "application/octet-stream"),
        "images[0][image]": ("a.png", picture(), "image/png"),
    }
    video = http.post("/v1/videos", data=form, files=files).json()
    wanted = service.job(video["id"]).wanted
    assert (wanted.num_frames, wanted.seed, wanted.enhance_prompt) == (97, 9, True)
    assert [(one.frame, one.strength) for one in wanted.pictures] == [
        (0, 1.0),
        (16, 0.25),
        (32, 1.0),
    ]


@pytest.mark.parametrize(
    ("asked", "about"),
    [
        ({}, "prompt"),
        ({"prompt": "x", "seconds": "0"}, "seconds"),
        ({"prompt": "x", "seconds": "four"}, "seconds"),
        ({"prompt": "x", "size": "768*512"}, "size"),
        ({"prompt": "x", "size": "0x512"}, "size"),
        ({"prompt": "x", "seconds": 4, "num_frames": 25}, "seconds"),
        ({"prompt": "x", "seed": -2}, "seed"),
        ({"prompt": "x", "seed": 1.5}, "seed"),
        ({"prompt": "x", "enhance": "true"}, "enhance"),
        ({"prompt": "x", "input_reference": {"file_id": "f"}}, "input_reference"),
        ({"prompt": "x", "input_reference": {"image_url": "http://10.0.0.1/"}}, "input_reference"),
        (
            {"prompt": "x", "input_reference": {"image_url": "file:///etc/passwd"}},
            "input_reference",
        ),
        ({"prompt": "x", "input_reference": {"image_url": "data:,%00"}}, "input_reference"),
        ({"prompt": "x", "images": [{"frame": 0}]}, "images.0.image_url"),
        ({"prompt": "x", "images": [{"image_url": "data:;base64,AAAA"}]}, "images[0]"),
        ({"prompt": "x", "model": "sora-2"}, None),
        ({"prompt": "x", "guidance": 3}, "guidance"),
    ],
)
def test_a_bad_body_is_refused_in_the_envelope(
    http: httpx.Client, service: SmallService, asked: Any, about: str | None
) -> None:
    answer = http.post("/v1/videos", json=asked)
    assert answer.status_code == 400
    (error,) = answer.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").startswith(about or "")
    assert answer.headers["x-should-retry"] == "false"
    assert not service.rows
    assert not [*service.settings.state.rglob("*.png")]


def test_pictures_of_one_frame_are_refused(http: httpx.Client) -> None:
    asked = {
        "prompt": "x",
        "input_reference": {"image_url": data_url(picture())},
        "images": [{"image_url": data_url(picture())}],
    }
    assert "one frame" in http.post("/v1/videos", json=asked).json()["error"]["message"]


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded"])
def test_other_types_of_bodies_are_refused(http: httpx.Client, type_: str) -> None:
    answer = http.post("/v1/videos", content=b"prompt=x", headers={"Content-Type": type_})
    assert (answer.status_code, "multipart/form-data" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "type_",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a",
        "multipart/form-data; boundary=a; charset=klingon",
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", b"--a\r\n\r\n", b"--a--\r\n"])
def test_torn_forms_are_refused(http: httpx.Client, type_: str, body: bytes) -> None:
    answer = http.post("/v1/videos", content=body, headers={"Content-Type": type_})
    assert (answer.status_code, "error" in answer.json()) == (400, True)


def test_a_full_queue_says_when_to_ask_again(settings: Settings, serve: Serve) -> None:
    few = Settings(
        settings.models, settings.state, settings.clips, limits=Limits(queued=1, wait_s=0.1)
    )
    http = serve(SmallService(few, holds=True))
    assert http.post("/v1/videos", json={"prompt": "x"}).status_code == 200
    answer = http.post("/v1/videos", json={"prompt": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == "queue_full"
    assert "x-should-retry" not in answer.headers
    own = http.post("/generate/text2video", json={"prompt": "x"})
    assert (own.status_code, own.json()["code"]) == (429, "queue_full")


def test_a_draining_service_refuses(http: httpx.Client, service: SmallService) -> None:
    service.drains = True
    answer = http.post("/v1/videos", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")


def test_a_key_makes_one_clip_and_keeps_one_picture(
    http: httpx.Client, service: SmallService
) -> None:
    def ask(prompt: str) -> httpx.Response:
        return http.post(
            "/v1/videos",
            data={"prompt": prompt},
            files={"input_reference": picture()},
            headers={"Idempotency-Key": "k"},
        )

    assert ask("x").json()["id"] == ask("x").json()["id"]
    answer = ask("y")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_taken")
    assert len([*service.settings.state.rglob("*.png")]) == 1


def test_few_pictures_are_decoded_at_once(
    http: httpx.Client, service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes memory; what waits for its turn holds up nobody else."""
    go, decoding = threading.Event(), []
    keep = Uploads.keep

    def keep_later(uploads: Uploads, data: bytes, *, param: str) -> Path:
        decoding.append(param)
        go.wait()
        return keep(uploads, data, param=param)

    monkeypatch.setattr(Uploads, "keep", keep_later)
    url = f"{http.base_url}/v1/videos"
    posts = [
        threading.Thread(
            target=lambda: httpx.post(
                url, data={"prompt": "x"}, files={"input_reference": picture()}, timeout=20
            )
        )
        for _ in range(6)
    ]
    for post in posts:
        post.start()
    until(lambda: len(decoding) == 2)
    assert http.post("/v1/videos", json={"prompt": "y"}).status_code == 200
    assert len(decoding) == 2
    go.set()
    for post in posts:
        post.join()
    assert len(service.rows) == 7


def test_retrieve_follows_a_clip_to_its_end(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]

    def seen() -> Any:
        return http.get(f"/v1/videos/{video}").json()

    held.run(video)
    held.step(video, 3, 8)
    assert (seen()["status"], seen()["progress"], seen()["stage"]) == (
        "in_progress",
        37,
        "denoising",
    )
    held.end(video)
    assert (seen()["status"], seen()["progress"]) == ("completed", 100)
    assert seen()["expires_at"] == seen()["completed_at"] + 30 * 86_400


def test_the_list_has_pages(http: httpx.Client) -> None:
    videos = [http.post("/v1/videos", json={"prompt": f"{at}"}).json()["id"] for at in range(5)]

    def page(**params: Any) -> Any:
        return http.get("/v1/videos", params=params).json()

    first = page(limit=2)
    assert [one["id"] for one in first["data"]] == videos[:2:-1]
    assert (first["object"], first["has_more"]) == ("list", True)
    assert (first["first_id"], first["last_id"]) == (videos[4], videos[3])
    assert [one["id"] for one in page(after=videos[3])["data"]] == videos[2::-1]
    assert [one["id"] for one in page(order="asc", limit=2)["data"]] == videos[:2]
    assert page(after=videos[0]) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    for bad in ({"limit": 0}, {"limit": "x"}, {"order": "up"}):
        assert http.get("/v1/videos", params=bad).status_code == 400
    assert http.get("/v1/videos", params={"after": "no"}).status_code == 404


def test_content_comes_in_three_variants(http: httpx.Client, service: SmallService) -> None:
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    until(lambda: service.job(video).state.is_end)
    content = f"/v1/videos/{video}/content"
    clip = http.get(content, headers={"Accept": "application/binary"})
    assert (clip.content, clip.headers["content-type"]) == (CLIP, "video/mp4")
    for variant in ("thumbnail", "spritesheet"):
        answer = http.get(content, params={"variant": variant})
        assert Image.open(io.BytesIO(answer.content)).size == (16, 16)
        assert answer.headers["content-type"].startswith("image/")
    assert http.get(content, params={"variant": "audio"}).status_code == 400
    part = http.get(content, headers={"Range": "bytes=-8"})
    assert (part.status_code, part.content) == (206, CLIP[-8:])


def test_a_clip_has_its_settings_inside_where_that_is_asked_for(
    http: httpx.Client, service: SmallService
) -> None:
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    until(lambda: service.job(video).state.is_end)
    for path in (f"/v1/videos/{video}/content", f"/download/{video}"):
        for asked, clip in (("1", TAGGED), ("true", TAGGED), ("0", CLIP)):
            answer = http.get(path, params={"metadata": asked})
            assert (answer.status_code, answer.content) == (200, clip)
            assert f'filename="{video}.mp4"' in answer.headers["content-disposition"]
        part = http.get(path, params={"metadata": 1}, headers={"Range": "bytes=-8"})
        assert (part.status_code, part.content) == (206, TAGGED[-8:])
        assert http.get(path, params={"metadata": "perhaps"}).status_code == 400
    still = {"metadata": "1", "variant": "thumbnail"}
    answer = http.get(f"/v1/videos/{video}/content", params=still)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata")


def test_content_of_a_clip_that_is_not_there(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    answer = http.get(f"/v1/videos/{video}/content")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")
    held.end(video)
    clip = held.job(video).clip
    assert clip
    clip.unlink()
    answer = http.get(f"/v1/videos/{video}/content")
    assert (answer.status_code, "kept" in answer.json()["error"]["message"]) == (409, True)


def test_delete_cancels_first_and_then_forgets(serve: Serve, held: SmallService) -> None:
    http = serve(held)
    video = http.post("/v1/videos", json={"prompt": "x"}).json()["id"]
    answer = http.request(
        "DELETE", f"/v1/videos/{video}", headers={"Content-Type": "application/json"}
    )
    assert answer.json() == {"id": video, "object": "video.deleted", "deleted": False}
    seen = http.get(f"/v1/videos/{video}").json()
    assert (seen["status"], seen["error"]["code"]) == ("failed", "cancelled")
    assert http.delete(f"/v1/videos/{video}").json()["deleted"] is True
    gone = http.delete(f"/v1/videos/{video}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "video_not_found")


def test_remix_keeps_all_but_the_prompt(http: httpx.Client, service: SmallService) -> None:
    first = http.post(
        "/v1/videos",
        data={"prompt": "x", "seed": "3", "seconds": "4", "size": "512x512"},
        files={"input_reference": picture()},
    ).json()
    second = http.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "y"}).json()
    assert second["remixed_from_video_id"] == first["id"]
    for key in ("seed", "seconds", "size", "num_frames"):
        assert second[key] == first[key]
    (old,), (new,) = (service.job(one["id"]).wanted.pictures for one in (first, second))
    assert old.path != new.path
    assert old.path.read_bytes() == new.path.read_bytes()
    old.path.unlink()
    answer = http.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "z"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")
    assert http.post("/v1/videos/no/remix", json={"prompt": "y"}).status_code == 404
    assert http.post(f"/v1/videos/{first['id']}/remix", json={}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/videos/edits", 400),
        ("POST", "/v1/videos/extensions", 400),
        ("POST", "/v1/videos/characters", 400),
        ("GET", "/v1/videos/characters/char_1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/videos/nothing", 404),
        ("GET", "/v1/videos/%00", 404),
        ("PUT", "/v1/videos", 405),
    ],
)
def test_what_is_not_offered_says_so_in_the_envelope(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"


def test_a_fault_of_ours_tells_no_trace(
    http: httpx.Client, service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallService, "place", lambda *_: 1 / 0)
    service.holds = True
    last = {"Connection": "close"}  # as the server does after a bug, before a client can tell
    answer = http.post("/v1/videos", json={"prompt": "x"}, headers=last)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "server_error"
    assert "division" not in answer.text
    own = http.get("/v1/videos")
    assert (own.status_code, "Traceback" in own.text) == (500, False)


def test_a_clip_of_the_own_api_is_a_video_too(http: httpx.Client, service: SmallService) -> None:
    task = http.post("/generate/text2video", json={"prompt": "x"}).json()["task_id"]
    assert service.job(task).state is State.COMPLETED
    assert http.get(f"/v1/videos/{task}").json()["status"] == "completed"
