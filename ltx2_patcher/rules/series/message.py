"""The words of a patch: its subject, why it exists, when it can go, its status and its group."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError

_TRAILER = re.compile(r"^(Upstream-Status|Group): *(.*)$", re.MULTILINE)
_MAIL_END = re.compile(r"^---", re.MULTILINE)
_RETIREMENT = re.compile(r"\bIt can go\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WIDTH = 76
_LONGEST = 200
"""Characters of a subject: a file's name may have 255 bytes, and ours is written under a longer one
first (boundaries/disk.py).
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What a patch says about itself."""

    subject: str
    why: str  # its paragraphs, as they are wrapped
    until: str  # the paragraph "It can go when ..."
    status: str  # Upstream-Status
    group: str


def written(subject: str, why: str, until: str, status: str, group: str) -> str:
    """The message of a new patch, from plain sentences; `until` may leave out "It can go".

    Raises: InvalidError where a part is missing, says too little, or can't travel in a mail.
    """
    condition = until if _RETIREMENT.search(until) else f"It can go {until}"
    paragraphs = [textwrap.fill(" ".join(text.split()), _WIDTH) for text in (why, condition)]
    trailers = f"Upstream-Status: {status.strip()}\nGroup: {group}\n"
    message = "\n\n".join([" ".join(subject.split()), *paragraphs, trailers])
    parse_message("the message", message)
    return message


def parse_message(name: str, message: str) -> Words:
    """Read a whole commit message; `name` is what an error calls it.

    Raises: InvalidError, as parse_body, or where the subject does not stand in a line of its own.
    """
    subject, gap, body = message.strip("\n").partition("\n\n")
    if not gap or "\n" in subject or not subject.strip():
        raise unfit(name, "it is not one line of subject, an empty line, and a body")
    return parse_body(name, subject, body)


def parse_body(name: str, subject: str, body: str) -> Words:
    """Read a message whose subject is known.

    Raises: InvalidError where a part of the form is missing: no reason, no retirement condition,
    no Upstream-Status, or a Group that is none.
    """
    if _MAIL_END.search(body):
        raise unfit(name, 'a line of its message is "---", where mail readers cut')
    if len(subject) > _LONGEST:
        raise unfit(name, f"its subject is longer than {_LONGEST} characters")
    if _CONTROL.search(subject + body):
        raise unfit(name, "its message holds control characters")
    trailers = {key: value.strip() for key, value in _TRAILER.findall(body)}
    if trailers.get("Group") not in GROUPS:
        raise unfit(name, f'its "Group:" is not one of {", ".join(GROUPS)}')
    if not trailers.get("Upstream-Status"):
        raise unfit(name, 'it has no "Upstream-Status:"')
    if not _RETIREMENT.search(body):
        raise unfit(name, 'it does not say when it can go ("It can go when ...")')
    if len(_TRAILER.sub("", body).split()) < 12:
        raise unfit(name, "it does not say why it exists")
    paragraphs = [text.strip("\n") for text in _TRAILER.sub("", body).split("\n\n") if text.strip()]
    until = [text for text in paragraphs if _RETIREMENT.search(text)]
    why = [text for text in paragraphs if text not in until]
    return Words(
        subject,
        "\n\n".join(why),
        "\n\n".join(until),
        trailers["Upstream-Status"],
        trailers["Group"],
    )


def reworded(message: str, *, group: str | None, status: str | None) -> str:
    """The message with another Group or Upstream-Status, where one is given.

    A message that has none gets it as its last line.

    Raises: InvalidError where the result is no message of a patch.
    """
    for key, value in (("Upstream-Status", status), ("Group", group)):
        if value is not None:
            lines = message.splitlines()
            kept = [line for line in lines if not line.startswith(f"{key}:")]
            at = next((n for n, line in enumerate(lines) if line not in kept), len(kept))
            kept.insert(at, f"{key}: {value.strip()}")
            message = "\n".join(kept) + "\n"
    parse_message("the message", message)
    return message


def unfit(name: str, why: str) -> InvalidError:
    """The error for a patch that is not one of a series."""
    return InvalidError(
        f"{name} is not a patch of this series: {why}",
        remedy="correct it: a message where you give it, a commit in the patched tree and then "
        "`ltx2-patcher export`; a file in patches/ comes back with `git checkout -- patches`",
    )
