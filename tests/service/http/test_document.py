"""The OpenAPI document, and what comes of asking all that it allows and much that it does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ltx2_service.values.settings import Settings
from tests.service.http.conftest import Serve
from tests.service.http.small_service import SmallService

# What a schema allows may still be refused, and must be: a size that the model does not have, a
# key that was used, a path that is no picture. So that one check of schemathesis does not hold.
EXCEPT = "positive_data_acceptance"


def test_the_document_holds_every_schema(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(document)):
        assert name in document["components"]["schemas"]
    assert set(document["paths"]["/v1/videos"]) == {"get", "post"}
    assert set(document["paths"]) == {
        *("/health", "/livez", "/readyz", "/metrics"),
        *("/generate/text2video", "/generate/image2video", "/generate/image2video/upload"),
        *("/download/{task_id}", "/list"),
        *("/v1/videos", "/v1/videos/{video_id}", "/v1/videos/{video_id}/content"),
        *("/v1/videos/{video_id}/events", "/v1/videos/{video_id}/remix", "/v1/service"),
    }


@pytest.mark.parametrize("examples", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_no_request_breaks_the_server_or_the_document(
    settings: Settings, serve: Serve, tmp_path: Path, examples: int
) -> None:
    http = serve(SmallService(replace(settings, image_root=tmp_path)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{http.base_url}/openapi.json"),
            *("--checks", "all", "--exclude-checks", EXCEPT, "--no-color"),
            *("--max-examples", str(examples), "--seed", "1"),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    assert re.search(r"(\d+) generated, \1 passed", done.stdout)
