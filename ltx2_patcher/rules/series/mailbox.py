"""The whole series as mails that plain `git am` takes, and commits as patch files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.patch_file import MAIL_START

_SPLIT = re.compile(rb"^(?=From 0{40} Mon Sep 17 00:00:00 2001\n)", re.MULTILINE)


def split_mails(mailbox: bytes) -> list[bytes]:
    """The mails of a mailbox that git wrote with zeroed commit ids.

    git separates mails by an empty line; each ends in one line end here, last or not.
    """
    return [mail.rstrip(b"\n") + b"\n" for mail in _SPLIT.split(mailbox) if mail]


def file_name(subject: str) -> str:
    """The patch file for a commit: its subject in snake case."""
    return "_".join(re.findall(r"[a-z0-9]+", subject.lower())) + ".patch"


def overlay_mail(message: str, author: str, date: str, files: Mapping[str, bytes]) -> bytes:
    """A mail that adds the overlay's files."""
    subject, _, body = message.partition("\n\n")
    head = f"From: {author}\nDate: {date}\nSubject: {subject}\n\n{body}\n"
    return MAIL_START + head.encode() + b"".join(_added(p, files[p]) for p in sorted(files)) + b"\n"


def join_mails(mails: Iterable[bytes]) -> bytes:
    """One mailbox; each mail ends in an empty line, as git separates them."""
    return b"".join(mail.rstrip(b"\n") + b"\n\n" for mail in mails)


def _added(path: str, content: bytes) -> bytes:
    lines = content.split(b"\n")
    ended = lines.pop() == b""
    if not ended:
        lines = content.split(b"\n")
    head = (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
        f"index {'0' * 40}..{blob_id(content)}\n"
    )
    if not content:
        return head.encode()
    span = f"+1,{len(lines)}" if len(lines) > 1 else "+1"
    head += f"--- /dev/null\n+++ b/{path}\n@@ -0,0 {span} @@\n"
    body = b"".join(b"+" + line + b"\n" for line in lines)
    return head.encode() + body + (b"" if ended else b"\\ No newline at end of file\n")
