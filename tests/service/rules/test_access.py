from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.access import foreign_page, is_loopback, needs_token, owner_of
from ltx2_service.values.request_faults import NoToken


@given(st.sampled_from(["one", "zwei€"]) | st.text(max_size=20))
def test_only_a_known_token_opens(text: str) -> None:
    tokens = {"one": "ann", "zwei€": "bob"}
    try:
        owner = owner_of(tokens, f"Bearer {text.encode().decode('latin-1')}")
    except NoToken:
        assert text not in tokens
    else:
        assert tokens[text] == owner


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("", False),
        ("localhost.example", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_what_is_loopback(host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one
    refused = foreign_page("GET", {"host": f"{host}:6020"}, checks_host=True)
    assert (refused is None) is is_one


def test_a_proxy_may_speak_tls() -> None:
    headers = {"host": "clips.example", "origin": "https://clips.example"}
    assert foreign_page("POST", headers, checks_host=False) is None
    assert foreign_page("POST", headers, checks_host=True) is not None


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/health", "/livez", "/readyz"])
def test_the_page_and_probes_need_no_token(path: str) -> None:
    assert not needs_token(path)


@pytest.mark.parametrize(
    "path", ["//", "/static", "/v1/videos", "/list", "/metrics", "/v1/service"]
)
def test_all_else_needs_one(path: str) -> None:
    assert needs_token(path)
