from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.values.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from ltx2_service.rules import openai_words, own_words
from ltx2_service.rules.faults import fault_of, sentence
from ltx2_service.values.refusals import Draining, KeyTaken, NoSuchJob, QueueFull
from ltx2_service.values.request_faults import BadRequest, NoToken

ERRORS: list[tuple[PatcherError, int]] = [
    (UsageError("the width is odd", remedy="give 768"), 400),
    (InvalidError("a file is torn", remedy="fetch it again"), 503),
    (OutsideError("the disk is full", remedy="make room"), 503),
    (BusyError("the tree is held", remedy="wait"), 503),
    (ConflictError("the tree is not patched", remedy="patch it"), 503),
    (BadRequest("No", remedy="Yes", param="x"), 400),
    (NoToken(), 401),
    (NoSuchJob("x"), 404),
    (KeyTaken("k"), 422),
    (QueueFull(3, 500), 429),
    (Draining(), 503),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda one: type(one).__name__)
def test_each_has_its_status_sentence_and_remedy(error: PatcherError, status: int) -> None:
    fault = fault_of(error)
    assert fault.status == status
    assert str(error)[1:] in fault.message
    assert error.remedy[1:] in fault.message
    (told,) = openai_words.envelope(fault).values()
    assert (told["message"], told["code"]) == (fault.message, fault.code)
    assert own_words.refused(fault)["message"] == fault.message
    again = "x-should-retry" not in openai_words.headers_of(fault)
    assert again is (status in {408, 429} or status >= 500)


def test_retry_after_is_what_clients_honour() -> None:
    assert fault_of(QueueFull(3, 500)).headers == {"Retry-After": "60"}


@given(st.text(min_size=1, alphabet="ab.?! "))
def test_sentences_end_once(text: str) -> None:
    whole = sentence(text)
    assert whole == sentence(whole)
    assert whole[-1] in ".?!"
