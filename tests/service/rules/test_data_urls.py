from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.data_urls import bytes_of
from ltx2_service.values.request_faults import BadPicture


@given(st.binary(max_size=40), st.sampled_from(["image/png", "", "image/png;charset=x"]))
def test_what_was_written_is_read_back(data: bytes, kind: str) -> None:
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert bytes_of(url, "image") == data


def test_a_large_one_is_read_whole() -> None:
    data = bytes(range(256)) * (1 << 13)
    text = base64.b64encode(data).decode()
    assert bytes_of(f"data:;base64,{text}", "image") == data
    with pytest.raises(BadPicture):
        bytes_of(f"data:;base64,{text[: 1 << 20]}{text[:-3]}=={text}", "image")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://example.org/a.png",
        "file:///etc/passwd",
        "a.png",
        "",
        "data:",
        "data:image/png,abc",
        "data:image/png;base64,a",
        "data:image/png;base64,YQ==YQ==",
        "data:image/png;base64,YQ=a",
        "data:image/png;base64,€",
        "data:image/png;base64,%ff",
    ],
)
def test_all_else_is_refused(url: str) -> None:
    with pytest.raises(BadPicture):
        bytes_of(url, "image")
