"""Messages come back as they went."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ltx2_service.rules.messages import parse, render
from ltx2_service.values.assignment import Assignment, Renderer
from ltx2_service.values.job import Failure
from ltx2_service.values.messages import (
    Ask,
    Assign,
    Cancel,
    Over,
    Reached,
    Refused,
    Settled,
    Standing,
    Stop,
    Superseded,
    Tell,
)
from ltx2_service.values.told import Ended, Progress

TEXT = some.text(max_size=20)
COUNT = some.integers(0, 1 << 40)
SECONDS = some.floats(0, 1e6)
WORDS = some.lists(TEXT, max_size=4).map(tuple)
PATH = some.text(some.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(Path)
RENDERER = some.builds(Renderer, TEXT, TEXT, WORDS, some.dictionaries(TEXT, TEXT, max_size=3))
ASSIGNMENT = some.builds(Assignment, TEXT, COUNT, TEXT, WORDS, PATH, PATH, SECONDS, RENDERER, TEXT)
FAILURE = some.none() | some.builds(Failure, TEXT, TEXT)
ENDED = some.builds(Ended, SECONDS, COUNT, FAILURE, some.booleans())
PROGRESS = some.builds(Progress, TEXT, COUNT, COUNT, some.none() | PATH)
NAME = some.none() | TEXT
MESSAGES: some.SearchStrategy[Ask | Tell] = some.one_of(
    some.builds(Assign, ASSIGNMENT),
    some.builds(Cancel, TEXT, COUNT),
    some.builds(Settled, TEXT, COUNT),
    some.builds(Stop),
    some.builds(Standing, TEXT, TEXT, NAME, COUNT, NAME, WORDS),
    some.builds(Reached, TEXT, COUNT, PROGRESS),
    some.builds(Over, TEXT, COUNT, TEXT, ENDED),
    some.builds(Refused, TEXT, COUNT, TEXT),
    some.builds(Superseded),
)


@given(MESSAGES)
def test_what_is_rendered_is_one_line_and_parses(message: Ask | Tell) -> None:
    line = render(message)
    assert b"\n" not in line
    assert parse(line) == message


@given(some.binary(max_size=60))
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no message"):
        parse(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "unknown"}',
        b'{"kind": "cancel"}',
        b'{"kind": "cancel", "job": "a", "token": 1, "more": 2}',
        b'{"kind": "assign", "assignment": 3}',
        b'{"kind": ["cancel"]}',
        b"[]",
    ],
)
def test_what_is_nearly_a_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no message"):
        parse(line)
