"""Probes and figures."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.service.http.small_service import SmallService


def test_readiness_says_why_not(http: httpx.Client, service: SmallService) -> None:
    assert (http.get("/readyz").status_code, http.get("/readyz").json()["ready"]) == (200, True)
    service.drains = True
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "why": "The service is stopping."}
    assert http.get("/livez").json() == {"alive": True}


def test_figures_are_prometheus(http: httpx.Client, service: SmallService) -> None:
    service.holds = True
    for _ in range(2):
        video = http.post("/v1/videos", json={"prompt": "a secret"}).json()["id"]
        http.get(f"/v1/videos/{video}")
    http.get("/nothing-1")
    http.get("/nothing-2")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    figures = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert figures["ltx2_clips_queued",] == 2
    assert figures["ltx2_ready",] == 1
    assert figures["ltx2_worker_state", ("state", "idle"), ("worker", "gpu0")] == 1
    assert figures["ltx2_gpu_memory_total_bytes", ("gpu", "0"), ("worker", "gpu0")] == 2**34
    counted = ("method", "GET"), ("route", "/v1/videos/{video_id}"), ("status", "200")
    assert figures["ltx2_http_requests_total", *counted] == 2
    nowhere = ("method", "any"), ("route", "none"), ("status", "404")
    assert figures["ltx2_http_requests_total", *nowhere] == 2
    assert "secret" not in answer.text
    assert video not in answer.text
