"""Who may come in, with how much, and what browsers may do with the answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from ltx2_patcher.values.errors import UsageError
from ltx2_service.http.app import create_app
from ltx2_service.values.settings import Limits, Settings
from tests.service.http.conftest import Serve, picture
from tests.service.http.small_service import SmallService

TOKENS = {"secret-a": "ann", "secret-b": "bob"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(settings: Settings, serve: Serve) -> httpx.Client:
    return serve(SmallService(replace(settings, tokens=TOKENS)))


class TestTokens:
    def test_a_service_for_other_machines_needs_one(self, settings: Settings) -> None:
        for host in ("0.0.0.0", "::", "192.168.1.5", "box"):
            with pytest.raises(UsageError, match="anybody"):
                create_app(SmallService(settings), replace(settings, host=host))
            create_app(SmallService(settings), replace(settings, host=host, tokens=TOKENS))
        for host in ("127.0.0.1", "localhost", "::1"):
            create_app(SmallService(settings), replace(settings, host=host))

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            bearer("wrong"),
            bearer("secret-"),
            {"Authorization": "secret-a"},
            {"Authorization": "Basic secret-a"},
            {"Authorization": b"Bearer \xff\xfe"},
        ],
    )
    def test_without_one_nothing_is_told(
        self, guarded: httpx.Client, headers: dict[str, str]
    ) -> None:
        for method, path in (
            ("POST", "/v1/videos"),
            ("GET", "/v1/videos"),
            ("GET", "/v1/nothing"),
            ("GET", "/list"),
            ("GET", "/metrics"),
        ):
            answer = guarded.request(method, path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            told = answer.json()
            assert (told.get("error") or told)["code"] == "invalid_api_key"
        for probe in ("/health", "/livez", "/readyz"):
            assert guarded.get(probe, headers=headers).status_code == 200

    def test_each_owner_sees_its_own(self, guarded: httpx.Client) -> None:
        ann, bob = bearer("secret-a"), bearer("secret-b")
        video = guarded.post("/v1/videos", json={"prompt": "x"}, headers=ann).json()["id"]
        assert guarded.get(f"/v1/videos/{video}", headers=ann).status_code == 200
        for method, path in (
            ("GET", ""),
            ("GET", "/content"),
            ("GET", "/events"),
            ("DELETE", ""),
        ):
            answer = guarded.request(method, f"/v1/videos/{video}{path}", headers=bob)
            assert answer.status_code == 404
        remix = guarded.post(f"/v1/videos/{video}/remix", json={"prompt": "y"}, headers=bob)
        assert remix.status_code == 404
        assert guarded.get(f"/download/{video}", headers=bob).status_code == 404
        assert len(guarded.get("/v1/videos", headers=ann).json()["data"]) == 1
        assert guarded.get("/v1/videos", headers=bob).json()["data"] == []
        assert guarded.get("/list", headers=bob).json()["count"] == 0

    def test_a_token_is_not_looked_at_where_none_is_asked(self, http: httpx.Client) -> None:
        assert http.get("/v1/videos", headers=bearer("any")).status_code == 200


class TestBrowsers:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example"},
            {"Host": "127.0.0.1.evil.example:6020"},
        ],
    )
    def test_a_foreign_page_makes_nothing(
        self, serve: Serve, settings: Settings, headers: dict[str, str]
    ) -> None:
        service = SmallService(settings)
        http = serve(service)
        for path in ("/v1/videos", "/generate/text2video"):
            answer = http.post(path, json={"prompt": "x"}, headers=headers)
            assert answer.status_code == 403
        assert http.delete("/v1/videos/x", headers=headers).status_code == 403
        assert not service.rows

    def test_its_own_page_may(self, http: httpx.Client) -> None:
        own = {"Origin": str(http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        assert http.post("/v1/videos", json={"prompt": "x"}, headers=own).status_code == 200
        port = http.base_url.port
        by_name = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
        assert http.post("/v1/videos", json={"prompt": "x"}, headers=by_name).status_code == 200

    def test_answers_can_t_be_framed_sniffed_or_read_elsewhere(self, http: httpx.Client) -> None:
        for path in ("/v1/videos", "/health", "/nothing"):
            headers = http.get(path, headers={"Origin": "https://evil.example"}).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers
        preflight = http.options("/v1/videos", headers={"Origin": "https://evil.example"})
        assert preflight.status_code == 405


class TestBodies:
    @pytest.fixture
    def tight(self, settings: Settings, serve: Serve) -> httpx.Client:
        limits = Limits(body_bytes=4096, body_s=0.2)
        return serve(SmallService(replace(settings, limits=limits)))

    @pytest.mark.parametrize("path", ["/v1/videos", "/generate/text2video"])
    def test_a_body_beyond_the_limit_is_refused(self, tight: httpx.Client, path: str) -> None:
        def without_length() -> Iterator[bytes]:
            for _ in range(3):
                yield b"[" * 2048

        for content in (b"[" * 5000, without_length()):
            answer = tight.post(path, content=content, headers={"Content-Type": "application/json"})
            told = answer.json()
            assert answer.status_code == 413
            assert (told.get("error") or told)["code"] == "body_too_large"
        parts = {"input_reference": ("x.png", picture(size=(99, 99), mode="RGB") + bytes(5000))}
        assert tight.post(path, data={"prompt": "x"}, files=parts).status_code == 413
        assert tight.post(path, json={"prompt": "x"}).status_code == 200

    def test_a_slow_body_is_refused(self, tight: httpx.Client) -> None:
        head = "POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
        with socket.create_connection((tight.base_url.host, tight.base_url.port or 0), 20) as line:
            line.sendall(head.encode())
            answer = b""
            while more := line.recv(65_536):
                answer += more
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"body_too_slow" in answer

    def test_a_client_that_leaves_within_its_body_is_no_fault(
        self, settings: Settings, serve: Serve
    ) -> None:
        http = serve(SmallService(settings))
        for kind in ("application/json", "multipart/form-data; boundary=a"):
            head = (
                f"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
                f"Content-Type: {kind}\r\n\r\n--a\r\n"
            )
            with socket.create_connection((http.base_url.host, http.base_url.port or 0)) as line:
                line.sendall(head.encode())
        metrics = http.get("/metrics").text
        assert 'status="500"' not in metrics


def test_other_scopes_pass(settings: Settings) -> None:
    """A server's lifespan reaches the application."""
    app = create_app(SmallService(settings), settings)
    sent: list[str] = []

    async def run() -> None:
        asked = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, str]:
            return {"type": next(asked)}

        async def send(message: dict[str, object]) -> None:
            sent.append(str(message["type"]))

        await app({"type": "lifespan", "state": {}}, receive, send)  # type: ignore[arg-type]

    asyncio.run(run())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
