"""Patch files: mail bytes -> Patch. unidiff reads the hunks; nothing here re-writes them."""

from __future__ import annotations

import io
import re
from functools import lru_cache

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as RawHunk
from unidiff.patch import PatchedFile, PatchSet

from ltx2_patcher.rules.series.message import parse_body, unfit
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.values.series import Edit, FileDiff, Hunk, Patch

MAIL_START = b"From " + b"0" * 40 + b" Mon Sep 17 00:00:00 2001\n"
"""First line of a canonical patch: git's fixed date, and a zeroed commit id."""

_DIFF_START = b"\n\ndiff --git "

_HEADER = re.compile(r"^([A-Z][A-Za-z-]*):(.*)\n", re.MULTILINE)
_INDEX = re.compile(r"^index ([0-9a-f]{40})\.\.([0-9a-f]{40}) 100644$", re.MULTILINE)
_FORBIDDEN = re.compile(
    r"^(rename|copy|old mode|new mode|new file|deleted file|similarity|GIT binary|Binary)",
    re.MULTILINE,
)


# The verbs of a maintainer read the same patches many times.
@lru_cache(maxsize=512)
def parse_patch(name: str, data: bytes) -> Patch:
    """Read one canonical patch file.

    Raises: InvalidError where it is not one: no mail header, no reason, retirement condition,
    Upstream-Status or Group, a torn or empty diff, anything but changes to existing text files, or
    a path outside packages/*/src.
    """
    if not data.startswith(MAIL_START):
        raise unfit(name, "it does not start with the mail line of a canonical patch")
    head, gap, rest = data[len(MAIL_START) :].partition(b"\n\n")
    body, cut, diff = rest.partition(_DIFF_START)
    if not gap or not cut:
        raise unfit(name, "the message or the diff is missing")
    try:
        mail = dict(_HEADER.findall(head.decode("ascii").replace("\n ", " ") + "\n"))
        message = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unfit(name, "its header is not plain ASCII or its message not UTF-8") from error
    if not {"From", "Date", "Subject"} <= mail.keys():
        raise unfit(name, "From, Date or Subject is missing")
    subject = _decoded(mail["Subject"])
    words = parse_body(name, subject, message)
    return Patch(
        name=name,
        subject=subject,
        body=message,
        author=_decoded(mail["From"]),
        date=mail["Date"].strip(),
        group=words.group,
        status=words.status,
        diffs=_parse_diff(name, _DIFF_START.lstrip() + diff),
        data=data,
    )


def _decoded(value: str) -> str:
    """A header as its author wrote it: what is not ASCII travels as RFC 2047 encoded words."""
    if "=?" not in value:
        return value.strip()
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(value.strip())))
    except (HeaderParseError, LookupError, ValueError):
        return value.strip()


def _parse_diff(name: str, diff: bytes) -> tuple[FileDiff, ...]:
    # Latin-1 maps each byte to one character and back, so no line is re-encoded; newline="\n"
    # keeps a CR inside its line.
    # The empty line after a mail belongs to no hunk.
    text = diff.decode("latin-1").rstrip("\n") + "\n"
    try:
        files = list(PatchSet(io.StringIO(text, newline="\n")))
    except (UnidiffParseError, ValueError, IndexError, AttributeError) as error:
        raise unfit(name, f"its diff is torn ({error})") from error
    if not files:
        raise unfit(name, "it has no diff")
    paths = [_path(name, file) for file in files]
    if len(set(paths)) != len(paths):
        raise unfit(name, "it changes one file twice")
    return tuple(_file_diff(name, path, file) for path, file in zip(paths, files, strict=True))


def _path(name: str, file: PatchedFile) -> str:
    source, target = file.source_file, file.target_file
    if source[:2] != "a/" or target[:2] != "b/" or source[2:] != target[2:]:
        raise unfit(name, f"{source} -> {target} is not a change to one existing file")
    path = target[2:]
    if not is_source(path):
        raise unfit(name, f"{path!r} is outside packages/*/src")
    return path


def _file_diff(name: str, path: str, file: PatchedFile) -> FileDiff:
    info = str(file.patch_info)
    if _FORBIDDEN.search(info) or file.is_binary_file:
        raise unfit(name, f"{path}: only changes to existing text files are taken")
    ids = _INDEX.search(info)
    if ids is None or not len(file):
        raise unfit(name, f"{path} has no full blob ids, is no plain file or has no hunks")
    return FileDiff(path, ids[1], ids[2], tuple(_hunk(name, hunk) for hunk in file))


def _hunk(name: str, raw: RawHunk) -> Hunk:
    old: list[bytes] = []
    new: list[bytes] = []
    sides: tuple[list[bytes], ...] = ()
    for line in raw:
        if line.line_type == "\\":  # the line before ends the file, without a newline
            for side in sides:
                side[-1] = side[-1].removesuffix(b"\n")
            continue
        if line.line_type not in (" ", "-", "+"):
            raise unfit(name, "a line of a hunk has no marker")
        sides = {" ": (old, new), "-": (old,), "+": (new,)}[line.line_type]
        for side in sides:
            side.append(line.value.encode("latin-1"))
    header = (
        f"@@ -{raw.source_start},{raw.source_length} +{raw.target_start},{raw.target_length} @@ "
        f"{raw.section_header}"
    )
    first = raw.source_start - 1 if old else raw.source_start
    return Hunk(raw.source_start, tuple(old), tuple(new), header, _edits(raw, first, old, new))


def _edits(raw: RawHunk, first: int, old: list[bytes], new: list[bytes]) -> tuple[Edit, ...]:
    """The runs of changed lines; `first` is the index of the hunk's first line in the old text."""
    edits: list[Edit] = []
    i = j = from_i = from_j = 0

    def close() -> None:
        if (i, j) != (from_i, from_j):
            edits.append(Edit(first + from_i, tuple(old[from_i:i]), tuple(new[from_j:j])))

    for line in raw:
        if line.line_type == " ":
            close()
            i, j = i + 1, j + 1
            from_i, from_j = i, j
        else:
            i += line.line_type == "-"
            j += line.line_type == "+"
    close()
    return tuple(edits)
