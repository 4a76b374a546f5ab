"""A patch's words: made, read back, changed in one place, refused where a part is missing."""

from __future__ import annotations

import pytest

from ltx2_patcher.rules.series.message import parse_message, reworded, written
from ltx2_patcher.values.errors import InvalidError

WHY = "Whoever reads these types wants to know what they are called, and upstream won't say so."


def test_plain_sentences_become_a_message() -> None:
    message = written("Name the  types", WHY, "when upstream names them.", "Pending", "lean")
    words = parse_message("x", message)
    assert words.until == "It can go when upstream names them."
    assert (words.subject, words.status, words.group) == ("Name the types", "Pending", "lean")
    assert " ".join(words.why.split()) == WHY
    assert max(map(len, message.splitlines())) <= 76
    assert message.endswith("\n\nUpstream-Status: Pending\nGroup: lean\n")


def test_only_what_was_asked_changes() -> None:
    message = written("Name", WHY, "It can go in May.", "Pending", "lean").replace(
        "Upstream-Status: Pending\nGroup: lean", "Group: lean\nUpstream-Status: Pending"
    )
    other = reworded(message, group="ampere", status=None)
    assert other == message.replace("Group: lean", "Group: ampere")
    assert reworded(message, group=None, status=None) == message
    bare = message.replace("Group: lean\n", "")
    assert parse_message("x", reworded(bare, group="lean", status=None)).group == "lean"


@pytest.mark.parametrize(
    ("part", "by", "why"),
    [
        ("Pending", "", "Upstream-Status"),
        ("lean", "fat", "Group"),
        ("It can go", "It may go", "when it can go"),
        (WHY.split(maxsplit=1)[0], "---", "mail readers cut"),
        ("Pending", "Pend\x00ing", "control"),
        ("Name\n\n", "Name\n", "one line of subject"),
        ("Name\n\n", "Name" * 51 + "\n\n", "longer than 200"),
        ("Name\n\n", "\n\n", "one line of subject|why it exists"),
    ],
)
def test_a_message_that_lacks_a_part_is_refused(part: str, by: str, why: str) -> None:
    message = written("Name", WHY, "when it is May.", "Pending", "lean")
    with pytest.raises(InvalidError, match=why):
        parse_message("x", message.replace(part, by, 1))
    with pytest.raises(InvalidError, match="why it exists"):
        written("Name", "Short.", "then", "Pending", "lean")
