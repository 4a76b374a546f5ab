"""The user's own API, as its examples ask it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx2_service.http.app import create_app, end_held
from ltx2_service.values.settings import Limits, Settings
from tests.service.http.conftest import Serve, picture
from tests.service.http.server import served, until
from tests.service.http.small_service import CLIP, FAILS, SmallService

ANSWER = {"success", "task_id", "video_path", "video_url", "duration", "message"}


def test_text_to_video_answers_when_the_clip_is_done(
    http: httpx.Client, service: SmallService, settings: Settings
) -> None:
    answer = http.post("/generate/text2video", json={"prompt": "A cat walks"})
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == ANSWER
    assert told["success"] is True
    assert re.fullmatch(r"t2v_\d{8}_\d{6}_[0-9a-f]{8}", told["task_id"])
    assert told["video_path"] == str(settings.clips / f"{told['task_id']}.mp4")
    assert told["video_url"] == f"/download/{told['task_id']}"
    assert told["duration"] == 0.5
    wanted = service.job(told["task_id"]).wanted
    assert (wanted.height, wanted.width, wanted.num_frames) == (512, 768, 25)
    assert (wanted.frame_rate, wanted.seed, wanted.gpu, wanted.origin) == (25.0, 42, None, "own")
    clip = http.get(told["video_url"])
    assert (clip.content, clip.headers["content-type"]) == (CLIP, "video/mp4")
    part = http.get(told["video_url"], headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, CLIP[4:12])


def test_a_seed_of_minus_one_is_random_and_a_card_pins(
    http: httpx.Client, service: SmallService
) -> None:
    asked = {"prompt": "x", "seed": -1, "gpu_id": 3, "height": 256.0}
    told = http.post("/generate/text2video", json=asked).json()
    wanted = service.job(told["task_id"]).wanted
    assert (wanted.seed, wanted.gpu, wanted.height) == (7, 3, 256)  # 7 is the small one's draw
    told = http.post("/generate/text2video", json={"prompt": "x", "gpu_id": -1}).json()
    assert service.job(told["task_id"]).wanted.gpu is None


@pytest.mark.parametrize(
    ("asked", "about"),
    [
        ({}, "'prompt' is missing"),
        ({"prompt": ""}, "'prompt'"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"prompt": "x", "gpu_id": 8}, "'gpu_id'"),
        ({"prompt": "x", "gpu_id": -2}, "'gpu_id'"),
        ({"prompt": "x", "height": "512"}, "'height'"),
        ({"prompt": "x", "num_frames": 0}, "'num_frames'"),
        ({"prompt": "x", "frame_rate": 1e400}, "no JSON"),
        ({"prompt": "x", "num_frame": 25}, "Did you mean 'num_frames'?"),
        ([], "The body"),
    ],
)
def test_a_bad_body_is_refused_in_the_apis_own_shape(
    http: httpx.Client, asked: Any, about: str
) -> None:
    answer = http.post(
        "/generate/text2video",
        content=json.dumps(asked),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert set(answer.json()) == {"success", "task_id", "code", "message"}
    assert answer.json()["success"] is False
    assert about in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"prompt": "\xff"}', b'{"prompt":"\\ud800"}', b'{"prompt":"\xed\xa0\x80"}'],
)
def test_what_is_no_json_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/generate/text2video", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_value")
    nested = http.post("/generate/text2video", content=b"[" * 100_000)
    assert nested.status_code == 400


def test_a_failed_clip_says_why(http: httpx.Client, service: SmallService) -> None:
    answer = http.post("/generate/text2video", json={"prompt": FAILS})
    assert answer.status_code == 500
    assert answer.json() == {
        "success": False,
        "task_id": next(iter(service.rows)),
        "code": "script_failed",
        "message": "The script failed.",
    }


def test_an_uploaded_picture_begins_the_clip(http: httpx.Client, service: SmallService) -> None:
    answer = http.post(
        "/generate/image2video/upload",
        data={"prompt": "It moves", "num_frames": "33", "seed": "5"},
        files={"image": ("photo.jpg", picture("JPEG"), "image/jpeg")},
    )
    told = answer.json()
    assert re.fullmatch(r"i2v_\d{8}_\d{6}_[0-9a-f]{8}", told["task_id"])
    wanted = service.job(told["task_id"]).wanted
    (one,) = wanted.pictures
    assert (wanted.num_frames, wanted.seed, wanted.height) == (33, 5, 512)
    assert (one.frame, one.strength, one.path.parent) == (
        0,
        1.0,
        service.settings.state / "uploads",
    )
    assert one.path.is_file()


def test_an_upload_without_a_picture_is_refused(http: httpx.Client, service: SmallService) -> None:
    for files in ({}, {"image": ("x.png", b"no picture", "image/png")}):
        answer = http.post(
            "/generate/image2video/upload",
            data={"prompt": "x"},
            files=files or {"prompt2": ("", b"", "")},
        )
        assert answer.status_code == 400
    as_text = {"prompt": "x", "image": "words"}
    assert http.post("/generate/image2video/upload", json=as_text).status_code == 400
    assert not service.rows
    assert not [*service.settings.state.rglob("*.png")]


class TestByPath:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "pictures"
        (root / "deep").mkdir(parents=True)
        (root / "deep/a.png").write_bytes(picture())
        (tmp_path / "secret.png").write_bytes(picture())
        (root / "link.png").symlink_to(tmp_path / "secret.png")
        (root / "inside.png").symlink_to(root / "deep/a.png")
        (root / "away").symlink_to(tmp_path)
        os.mkfifo(root / "pipe.png")
        (root / "words.png").write_text("no picture")
        return root

    @pytest.fixture
    def rooted(self, service: SmallService, root: Path, serve: Serve) -> httpx.Client:
        service.settings = replace(service.settings, image_root=root)
        return serve(service)

    def test_it_is_off_unless_set(self, http: httpx.Client, root: Path) -> None:
        asked = {"prompt": "x", "image_path": str(root / "deep/a.png")}
        answer = http.post("/generate/image2video", json=asked)
        assert (answer.status_code, "off here" in answer.json()["message"]) == (400, True)

    def test_a_picture_below_the_root_is_copied(
        self, rooted: httpx.Client, service: SmallService, root: Path
    ) -> None:
        for path in (str(root / "deep/a.png"), "deep/a.png", "./deep//a.png"):
            told = rooted.post("/generate/image2video", json={"prompt": "x", "image_path": path})
            (one,) = service.job(told.json()["task_id"]).wanted.pictures
            assert one.path.parent == service.settings.state / "uploads"

    @pytest.mark.parametrize(
        "path",
        [
            "../secret.png",
            "deep/../../secret.png",
            "link.png",
            "inside.png",
            "away/secret.png",
            "pipe.png",
            "deep",
            "",
            ".",
            "nothing.png",
            "/etc/passwd",
            "deep/a.png\0.txt",
            "/dev/zero",
            "x" * 5000,
        ],
    )
    def test_nothing_else_is_read(
        self, rooted: httpx.Client, service: SmallService, path: str
    ) -> None:
        answer = rooted.post("/generate/image2video", json={"prompt": "x", "image_path": path})
        assert answer.status_code == 400
        assert not service.rows

    def test_what_is_no_picture_is_not_told_apart_by_its_words(self, rooted: httpx.Client) -> None:
        asked = {"prompt": "x", "image_path": "words.png"}
        assert "no PNG" in rooted.post("/generate/image2video", json=asked).json()["message"]


def test_a_client_that_leaves_finds_its_clip(settings: Settings, serve: Serve) -> None:
    service = SmallService(settings, holds=True)
    http = serve(service)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/generate/text2video", json={"prompt": "x"}, timeout=0.2)
    (task,) = service.rows
    until(lambda: not service.wakes.get(task))  # the server noticed it
    assert http.get("/list").json()["videos"][0]["status"] == "queued"
    assert http.get(f"/download/{task}").status_code == 409
    service.run(task)
    service.end(task)
    (listed,) = http.get("/list").json()["videos"]
    assert (listed["task_id"], listed["status"]) == (task, "completed")
    assert http.get(listed["video_url"]).content == CLIP


def test_a_request_is_held_only_so_long(settings: Settings, serve: Serve) -> None:
    service = SmallService(replace(settings, limits=Limits(wait_s=0.05)), holds=True)
    answer = serve(service).post("/generate/text2video", json={"prompt": "x"})
    (task,) = service.rows
    assert (answer.status_code, answer.json()["task_id"]) == (504, task)
    assert f"/download/{task}" in answer.json()["message"]


def test_a_shutdown_ends_requests_that_are_held(settings: Settings) -> None:
    service = SmallService(settings, holds=True)
    app = create_app(service, settings)
    answers: list[httpx.Response] = []
    with served(app) as address:
        asked = {"prompt": "x"}
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{address}/generate/text2video", json=asked))
        )
        asking.start()
        until(lambda: service.rows and service.wakes.get(next(iter(service.rows))))
        end_held(app)
        asking.join()
    (task,) = service.rows
    assert (answers[0].status_code, answers[0].json()["task_id"]) == (504, task)


def test_the_list_has_pages(http: httpx.Client) -> None:
    tasks = [
        http.post("/generate/text2video", json={"prompt": f"{at}"}).json()["task_id"]
        for at in range(3)
    ]
    first = http.get("/list", params={"limit": 2}).json()
    assert [one["task_id"] for one in first["videos"]] == tasks[:0:-1]
    assert (first["count"], first["has_more"]) == (2, True)
    rest = http.get("/list", params={"after": tasks[1]}).json()
    assert [one["task_id"] for one in rest["videos"]] == tasks[:1]
    assert http.get("/list", params={"limit": 0}).status_code == 400
    assert http.get("/list", params={"after": "nothing"}).status_code == 404


def test_health_answers_always(http: httpx.Client, service: SmallService) -> None:
    assert http.get("/health").json()["status"] == "healthy"
    service.drains = True
    told = http.get("/health")
    assert (told.status_code, told.json()["status"], told.json()["ready"]) == (
        200,
        "healthy",
        False,
    )
    assert http.post("/generate/text2video", json={"prompt": "x"}).status_code == 503


def test_unknown_paths_and_methods_answer_in_its_shape(http: httpx.Client) -> None:
    for answer, status in (
        (http.get("/nothing"), 404),
        (http.get("/generate/text2video"), 405),
        (http.get("/download/nothing"), 404),
        (http.get("/download/..%2F..%2Fetc%2Fpasswd"), 404),
    ):
        assert answer.status_code == status
        assert answer.json()["success"] is False


def test_an_idempotency_key_makes_one_clip(http: httpx.Client, service: SmallService) -> None:
    def ask(prompt: str) -> httpx.Response:
        return http.post(
            "/generate/text2video", json={"prompt": prompt}, headers={"Idempotency-Key": "k"}
        )

    assert ask("x").json()["task_id"] == ask("x").json()["task_id"]
    assert ask("y").status_code == 422
    assert len(service.rows) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_with_curl(http: httpx.Client, tmp_path: Path) -> None:
    def curl(*words: str) -> bytes:
        done = subprocess.run(["curl", "-sS", *words], check=True, stdout=-1, timeout=20)
        return done.stdout

    address = str(http.base_url).rstrip("/")
    assert json.loads(curl(f"{address}/health"))["status"] == "healthy"
    body = json.dumps(
        {
            "prompt": "A cat walking on grass",
            "height": 512,
            "width": 768,
            "num_frames": 25,
            "frame_rate": 25.0,
            "seed": 42,
            "gpu_id": 0,
        }
    )
    told = json.loads(
        curl(
            *("-X", "POST", f"{address}/generate/text2video"),
            *("-H", "Content-Type: application/json", "-d", body),
        )
    )
    assert told["success"]
    assert curl(f"{address}{told['video_url']}") == CLIP
    (tmp_path / "cat.png").write_bytes(picture())
    told = json.loads(
        curl(
            *("-X", "POST", f"{address}/generate/image2video/upload"),
            *("-F", f"image=@{tmp_path}/cat.png", "-F", "prompt=The cat turns"),
        )
    )
    assert told["task_id"].startswith("i2v_")
    assert json.loads(curl(f"{address}/list"))["count"] == 2
