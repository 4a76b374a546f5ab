"""Each spelling of ComfyUI's marks is read; what is none marks nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.comfy_marks import marker_tensors, marks_of
from ltx2_patcher.values.weights import Header, Mark, Tensor

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("raw", "mark"),
    [
        ({"format": "float8_e4m3fn"}, Mark("float8_e4m3fn", False)),
        ({"format": "int8_tensorwise", "per_row": True}, Mark("int8_tensorwise", False)),
        (
            {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256},
            Mark("int8_tensorwise", True),
        ),
        (
            {"format": "int8_tensorwise", "params": {"convrot": True}},
            Mark("int8_tensorwise", True),
        ),
    ],
)
def test_a_mark_is_read_from_a_tensor_and_from_the_header(
    raw: dict[str, object], mark: Mark
) -> None:
    text = json.dumps(raw)
    stated = json.dumps({"format_version": "1.0", "layers": {"a.to_q": raw}})
    assert marks_of({}, {"a.to_q": text.encode()}) == {"a.to_q": mark}
    assert marks_of({"_quantization_metadata": stated}, {}) == {"a.to_q": mark}


@given(JSON, JSON)
def test_whatever_stands_there_is_read_or_left_out(stated: object, raw: object) -> None:
    text = json.dumps({"layers": {"a": stated}})
    found = marks_of({"_quantization_metadata": text}, {"b": json.dumps(raw).encode()})
    assert found.keys() <= {"a", "b"}


@given(st.binary(), st.text())
def test_what_is_no_json_marks_nothing(marker: bytes, stated: str) -> None:
    assert set(marks_of({"_quantization_metadata": f"{stated}}}"}, {"b": b"}" + marker})) == set()


def test_the_bytes_of_marks_alone_are_asked_for() -> None:
    tensors = {
        "a.comfy_quant": Tensor("U8", (70,), 70, 9),
        "b.comfy_quant": Tensor("U8", (5000,), 5000),
        "c.comfy_quant": Tensor("F32", (2,), 8),
        "a.weight": Tensor("I8", (2, 2), 4),
    }
    found = marker_tensors(Header(tensors, {}))
    assert {layer: tensor.start for layer, tensor in found.items()} == {"a": 9}
