from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from ltx2_service.http.app import create_app
from ltx2_service.http.page import FOLDER
from tests.service.http.server import served
from tests.service.page.conftest import OFFERS, ShownService, settings_in

FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", ["", *(f"static/{name}" for name in FILES)])
def test_each_file_comes_with_its_type_and_a_strict_policy(address: str, name: str) -> None:
    answer = httpx.get(f"{address}/{name}")
    assert answer.status_code == 200
    kinds = {"": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    suffix = Path(name).suffix.replace(".html", "")
    assert answer.headers["content-type"].split(";")[0] == kinds[suffix]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = {"If-None-Match": answer.headers["etag"]}
    assert httpx.get(f"{address}/{name}", headers=again).status_code == 304


@pytest.mark.parametrize("name", ["none.js", "..%2fpage.py", "%2e%2e/page.py", "%2e%2e"])
def test_nothing_else_is_served(address: str, name: str) -> None:
    assert httpx.get(f"{address}/static/{name}").status_code == 404


def test_the_page_names_no_other_host() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text), name
        assert " style=" not in text and not re.search(r"\son[a-z]+=[\"']", text), name


def test_each_module_that_is_imported_is_there() -> None:
    for name in FILES:
        for other in re.findall(r'from "\./([^"]+)"', (FOLDER / name).read_text("utf-8")):
            assert other in FILES, (name, other)


def test_the_service_tells_models_cards_and_queue(address: str) -> None:
    told = httpx.get(f"{address}/v1/service").json()
    assert [model["name"] for model in told["models"]] == [offer.name for offer in OFFERS]
    assert told["cards"][0]["total_bytes"] == 24 * 2**30
    assert told["queue"] == {
        "waiting": 0, "running": 0, "draining": False, "ready": True, "why_not": None,
    }  # fmt: skip


def test_a_token_guards_the_service_and_not_the_page(tmp_path: Path) -> None:
    service = ShownService(settings_in(tmp_path, {"secret": "ann"}))
    with served(create_app(service, service.settings, OFFERS)) as address:
        assert httpx.get(address).status_code == 200
        assert httpx.get(f"{address}/static/page.js").status_code == 200
        assert httpx.get(f"{address}/v1/service").status_code == 401
        known = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{address}/v1/service", headers=known).status_code == 200
